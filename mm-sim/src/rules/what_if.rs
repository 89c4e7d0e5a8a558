//! What-if switches: every decision of a [`Protocol`] by name, to be made otherwise than its kernel made it.
//!
//! A switch is a field of the protocol; its values are those of the field's type ([`Choice`]). So a new decision takes one
//! line in the table and, if its type is new, one more among the words. [`WhatIf`] is what the command line reads,
//! `retract=trylock`.

use std::{fmt, str::FromStr};

use serde::Serialize;

use crate::{
    bug::Bug,
    protocol::{
        Exclusion, FileFaults, HugetlbLocking, MmapMark, Protocol, Retract, StackGrowth, UserfaultLocks, View,
        VmaSequence,
    },
};

/// A type of decisions, and their words on the command line.
trait Choice: Sized {
    fn all() -> Vec<Self>;

    fn word(&self) -> String;
}

impl Choice for bool {
    fn all() -> Vec<Self> {
        vec![false, true]
    }

    fn word(&self) -> String {
        if *self { "yes" } else { "no" }.to_owned()
    }
}

impl<T: Choice> Choice for Option<T> {
    fn all() -> Vec<Self> {
        [None].into_iter().chain(T::all().into_iter().map(Some)).collect()
    }

    fn word(&self) -> String {
        self.as_ref().map_or_else(|| "none".to_owned(), T::word)
    }
}

impl Choice for Bug {
    fn all() -> Vec<Self> {
        Self::ALL.to_vec()
    }

    fn word(&self) -> String {
        self.name()
    }
}

macro_rules! words {
    ($($name:ident { $($value:ident = $word:literal,)* })*) => {
        $(impl Choice for $name {
            fn all() -> Vec<Self> {
                vec![$(Self::$value),*]
            }

            fn word(&self) -> String {
                match self {
                    $(Self::$value => $word,)*
                }
                .to_owned()
            }
        })*
    };
}

words! {
    Retract {
        MmapLock = "none",
        BlockingVmaLock = "blocking",
        TryVmaLock = "trylock",
        PageTableLocks = "rcu",
    }
    FileFaults {
        MmapLock = "mmap-lock",
        FaultAround = "fault-around",
        VmaLock = "vma-lock",
    }
    MmapMark {
        Never = "never",
        BeforeImap = "before-imap",
        UnderImap = "under-imap",
    }
    HugetlbLocking {
        Imap = "i-mmap",
        SharedVma = "shared-vma",
        EveryVma = "every-vma",
    }
    UserfaultLocks {
        MmapLock = "mmap-lock",
        Faults = "faults",
        Ioctls = "ioctls",
    }
    StackGrowth {
        MmapReadLock = "mmap-read-lock",
        MmapWriteLock = "mmap-write-lock",
    }
    VmaSequence {
        None = "none",
        BeforeImap = "before-imap",
        AfterImap = "after-imap",
    }
    View {
        Kernel = "kernel",
        Strict = "strict",
    }
    Exclusion {
        MmapLock = "mmap-lock",
        VmaLock = "vma-lock",
        Imap = "i-mmap",
        AnonVma = "anon-vma",
    }
}

/// A decision that can be made otherwise.
pub struct Switch {
    field: &'static str,
    /// What is decided, in one line.
    pub about: &'static str,
    values: fn() -> Vec<String>,
    get: fn(&Protocol) -> String,
    set: fn(&mut Protocol, &str) -> bool,
}

impl Switch {
    /// Returns its name on the command line.
    pub fn key(&self) -> String {
        self.field.replace('_', "-")
    }

    /// Returns what can be decided.
    pub fn values(&self) -> Vec<String> {
        (self.values)()
    }

    /// Returns what a protocol has decided.
    pub fn of(&self, protocol: &Protocol) -> String {
        (self.get)(protocol)
    }
}

impl fmt::Debug for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.field)
    }
}

fn words<T: Choice>(_of: fn(&Protocol) -> T) -> Vec<String> {
    T::all().iter().map(T::word).collect()
}

fn called<T: Choice>(word: &str) -> Option<T> {
    T::all().into_iter().find(|value| value.word() == word)
}

macro_rules! switches {
    ($($field:ident = $about:literal,)*) => {
        /// All switches, in the order of the protocol's fields.
        pub const SWITCHES: &[Switch] = &[$(Switch {
            field: stringify!($field),
            about: $about,
            values: || words(|protocol| protocol.$field),
            get: |protocol| protocol.$field.word(),
            set: |protocol, word| called(word).map(|value| protocol.$field = value).is_some(),
        }),*];
    };
}

switches! {
    vma_lock = "whether there is a VMA lock",
    retract = "how retract_page_tables keeps page faults away from the table that it frees",
    file_faults = "which page faults on files run under the VMA lock",
    mmap_mark = "when mmap write-locks the VMA that it makes",
    fork_mark = "whether a fork write-locks the VMAs of the parent",
    pte_map_under_rcu = "whether a PTE table is looked at again once it is locked",
    anon_vma_under_vma_lock = "whether a fault under the VMA lock may make an anon_vma",
    hugetlb_locking = "what keeps page tables of hugetlbfs in place while they are used",
    hugetlb_under_vma_lock = "whether page faults on hugetlbfs run under the VMA lock",
    userfault = "what of a userfaultfd does without the mmap lock",
    swap_under_vma_lock = "whether a fault on what is swapped out runs under the VMA lock",
    stack_growth = "under which lock a stack grows when a page below it is touched",
    memory_failure_rcu = "whether memory failure goes through the processes under RCU, and not under tasklist_lock",
    mbind_migrates_unlocked = "whether mbind moves pages when it has dropped the mmap lock",
    maps_under_vma_lock = "whether /proc/pid/maps is read under VMA locks",
    collapse_recovers = "whether khugepaged gives up if a page breaks while it is copied",
    fork_enters_lists_last = "whether a fork tells KSM and khugepaged of the child when all is copied",
    unqueues_under_lru_lock = "whether reclaim takes what ends in its hands off the split queue under lru_lock",
    exit_under_mmap_lock = "whether a process ends under its mmap lock",
    vma_sequence = "when a VMA that is cut makes its sequence count odd, if it has one",
    view = "whether lockdep is told of a marked VMA as the kernel tells it, or that it stays locked",
    forgets = "what retract_page_tables forgets to exclude",
    bug = "what an operation does wrong",
}

/// A decision, made otherwise.
///
/// ```
/// use mm_sim::{Protocol, Retract, WhatIf};
///
/// let what_if: WhatIf = "retract=blocking".parse().unwrap();
/// assert_eq!(Protocol::V6_12.what_if(&what_if).retract, Retract::BlockingVmaLock);
/// assert!("retract=politely".parse::<WhatIf>().unwrap_err().contains("none, blocking, trylock, rcu"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct WhatIf {
    field: &'static str,
    value: String,
}

impl FromStr for WhatIf {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let keys = || SWITCHES.iter().map(Switch::key).collect::<Vec<_>>().join(", ");
        let (key, value) = text.split_once('=').ok_or_else(|| format!("not KEY=VALUE (keys: {})", keys()))?;
        let switch = SWITCHES.iter().find(|switch| switch.key() == key);
        let switch = switch.ok_or_else(|| format!("no such key: {key} (keys: {})", keys()))?;
        let values = switch.values();
        if !values.iter().any(|known| known == value) {
            return Err(format!("no such value of {key}: {value} (values: {})", values.join(", ")));
        }
        Ok(Self { field: switch.field, value: value.to_owned() })
    }
}

impl fmt::Display for WhatIf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.field.replace('_', "-"), self.value)
    }
}

impl From<WhatIf> for String {
    fn from(what_if: WhatIf) -> Self {
        what_if.to_string()
    }
}

impl Protocol {
    /// The same with one decision made otherwise.
    #[must_use]
    pub fn what_if(mut self, what_if: &WhatIf) -> Self {
        if let Some(switch) = SWITCHES.iter().find(|switch| switch.field == what_if.field) {
            // A `WhatIf` is only ever made of a value that there is.
            let _is_set = (switch.set)(&mut self, &what_if.value);
        }
        self
    }

    /// Returns what this protocol decides otherwise than the kernel that it is named after.
    pub fn what_ifs(&self) -> Vec<WhatIf> {
        let Some(kernel) = Self::named(self.name) else { return Vec::new() };
        let differs = |switch: &&Switch| switch.of(self) != switch.of(&kernel);
        let what_if = |switch: &Switch| WhatIf { field: switch.field, value: switch.of(self) };
        SWITCHES.iter().filter(differs).map(what_if).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever adds a decision to the protocol adds a switch.
    #[test]
    fn every_decision_of_a_protocol_is_a_switch() {
        let fields = serde_json::to_value(Protocol::V6_12).unwrap();
        let fields = fields.as_object().unwrap().keys().filter(|field| !["name", "title"].contains(&field.as_str()));
        let mut switches: Vec<_> = SWITCHES.iter().map(|switch| switch.field).collect();
        switches.sort_unstable();
        assert_eq!(fields.map(String::as_str).collect::<Vec<_>>(), switches);
    }

    #[test]
    fn what_is_switched_is_told_and_can_be_switched_again() {
        for switch in SWITCHES {
            for value in switch.values() {
                let what_if: WhatIf = format!("{}={value}", switch.key()).parse().unwrap();
                let protocol = Protocol::V6_12.what_if(&what_if);
                assert_eq!(switch.of(&protocol), value);
                let differs = switch.of(&Protocol::V6_12) != value;
                assert_eq!(protocol.what_ifs(), if differs { vec![what_if] } else { Vec::new() });
            }
        }
    }
}
