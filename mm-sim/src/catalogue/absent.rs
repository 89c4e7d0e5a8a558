//! Bugs of the history that have no pair, and why.

/// A bug that cannot be shown here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Absent {
    /// The id: a letter for the family and a number.
    pub id: &'static str,
    /// One line about it.
    pub title: &'static str,
    /// Why it has no pair.
    pub reason: &'static str,
}

/// All of them.
pub const ABSENT: &[Absent] = &[
    Absent {
        id: "V9",
        title: "io_uring's mmap write-locks the VMA under its own mutex (6.14-rc5)",
        reason: "every way from a read-locked VMA to that mutex leads through the mmap lock, which is a cycle without the mutex: \
                 that of F7. Without F7 there is nothing for the fix to end",
    },
    Absent {
        id: "V11",
        title: "whoever lets go of a VMA wakes a writer of a process that has ended (6.15)",
        reason: "the VMA lock here is the rwsem of 6.4 to 6.14: it has no reference count that writers wait for, and no VMA is \
                 used again for another process",
    },
    Absent {
        id: "M11",
        title: "a process that ends unlocks its locked pages beside the OOM reaper (4.16)",
        reason: "that walk of the page tables went in 5.18: from then on pages are unlocked as they are unmapped, and a process \
                 ends under the mmap lock, in the oldest kernel here too",
    },
];
