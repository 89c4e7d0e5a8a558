//! What a run did: counts of the ways that operations took.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Counts of one run.
        #[derive(Default)]
        pub(crate) struct Stats {
            $($(#[$doc])* pub(crate) $name: Count,)*
        }

        impl Stats {
            /// Returns the counts that are not zero, by name.
            pub(crate) fn to_map(&self) -> BTreeMap<&'static str, u64> {
                let all = [$((stringify!($name), self.$name.get())),*];
                all.into_iter().filter(|(_, count)| *count > 0).collect()
            }
        }
    };
}

/// A count.
#[derive(Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

stats! {
    /// Blocks that were read by their buffers.
    blocks_read,
    /// Files that swap was turned on with.
    swap_files,
    /// Changes of such a file that were refused.
    swap_file_kept,
    /// Pages of shared memory that were swapped out.
    shmem_swapped_out,
    /// Pages of shared memory that came back.
    shmem_swapped_in,
    /// Huge folios that shared memory got when it was first used.
    shmem_huge,
    /// Page faults handled under the VMA lock.
    faults_under_vma_lock,
    /// Page faults handled under the mmap lock.
    faults_under_mmap_lock,
    /// Faults that began under the VMA lock and had to start again.
    faults_retried,
    /// Loads and stores.
    accesses,
    /// Copies on write.
    copies,
    /// Files of which a range became a huge folio.
    collapses,
    /// Huge folios of files that were mapped by one entry.
    huge_mapped,
    /// Those of them that MADV_COLLAPSE mapped at once.
    huge_pmds_set,
    /// Collapses that filled holes of shared memory.
    holes_filled,
    /// Collapses that gave up.
    collapses_failed,
    /// Page tables freed by retract_page_tables.
    tables_retracted,
    /// Page tables that retract_page_tables left because it could not have a lock.
    retracts_skipped,
    /// Times that a stack grew.
    stacks_grown,
    /// Huge pages of anonymous memory mapped by a first touch.
    huge_faults,
    /// Huge pages of anonymous memory taken apart.
    huge_splits,
    /// Huge pages that khugepaged has made of anonymous memory.
    anon_collapses,
    /// Pages that were brought back for a huge page to be made of them.
    swapped_in_to_collapse,
    /// Ranges that stayed as they are because a page could not be brought back at once.
    swapins_given_up,
    /// Huge pages that were not made because a page turned out to be broken while it was copied.
    copies_failed,
    /// Pages that MADV_FREE let reclaim drop.
    lazily_freed,
    /// Holes punched into files.
    holes,
    /// Ranges locked in memory.
    mlocks,
    /// Pages found in use by walks of page tables.
    aged,
    /// Breakpoints put into processes.
    breakpoints,
    /// Pages faulted in at once for a mapping.
    populated,
    /// Folios unmapped by reclaim.
    unmapped,
    /// Huge folios whose last reference was that of reclaim, which wanted to put them back.
    ended_in_reclaim,
    /// Folios freed by reclaim.
    reclaimed,
    /// Times that an allocation had to reclaim itself.
    direct_reclaims,
    /// Huge folios split.
    splits,
    /// Pages written by system calls.
    writes,
    /// Folios whose writing to disk has begun.
    writebacks,
    /// Folios that got a slot of the swap device.
    swapped_out,
    /// Folios read from the swap device.
    swapped_in,
    /// Pages found by GUP-fast.
    gup_fast,
    /// Page faults that had to wait for user code.
    userfaults,
    /// Broken pages that were handled.
    memory_failures,
    /// Accesses of user code that the hardware could not make.
    machine_checks,
    /// Processes that were told of a page that had been handled before.
    told_later,
    /// Processes that had one of them.
    processes_hit,
    /// VMAs of killed processes that were zapped.
    reaped,
    /// Pages merged by KSM.
    ksm_merged,
    /// Folios migrated.
    migrated,
    /// Those of them that moved in a page fault.
    numa_migrated,
    /// Folios that mbind has moved to the node it says.
    rebound,
    /// Pages moved by userfaultfd.
    pages_moved,
    /// Mappings moved by mremap.
    moves,
    /// Those that were joined with the mapping in front of the new place, and needed the rmap locks for single entries.
    moves_joined,
    /// Page tables of hugetlbfs that a process took over from another one.
    tables_shared,
    /// Page tables of hugetlbfs that a process gave up while others had them.
    tables_unshared,
    /// Huge pages taken from children because the parent had been promised them.
    pages_taken_from_children,
    /// Huge pages moved to another place of memory.
    huge_pages_migrated,
    /// Forks.
    forks,
    /// Programs that processes became.
    execs,
    /// Truncations.
    truncations,
}
