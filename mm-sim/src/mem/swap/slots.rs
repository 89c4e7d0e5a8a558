//! The slots of a swap device and their counts (the kernel's `swap_map`), in clusters.
//!
//! A slot is taken while somebody uses it: entries of page tables and of files, each counted, or the swap cache. It is
//! given back to the device in a second step, under the device's lock; until then it cannot be taken anew.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use parking_lot::Mutex;

use super::{HEADER, Swap};
use crate::{
    classes::SWAP_CLUSTER_LOCK,
    finding::Invariant,
    mem::Inode,
    sched,
    sync::{SpinGuard, SpinLock},
};

/// Slots of a cluster.
const SLOTS: u64 = 16;

/// One slot.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Slot {
    /// Entries that say that their page is here.
    users: u32,
    /// A folio in the swap cache has it, or is about to (the kernel's `SWAP_HAS_CACHE`).
    cached: bool,
    /// Nobody uses it any more; it is about to be given back.
    leaving: bool,
}

impl Slot {
    fn is_free(self) -> bool {
        self == Self::default()
    }
}

/// Slots that share a lock.
pub(super) struct Cluster {
    lock: SpinLock,
    slots: Mutex<[Slot; SLOTS as usize]>,
}

/// What came of asking for a slot on behalf of the swap cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prepared {
    /// It is the caller's to fill.
    Yes,
    /// Somebody else has it in the cache, or soon.
    Exists,
    /// Nobody uses it any more.
    Gone,
}

impl Swap {
    /// Gives the machine a device of at least `slots` slots, unless it has one that is on its way out, or is a file.
    #[track_caller]
    pub(crate) fn enable(&self, slots: u64) {
        let _lock = self.lock.lock();
        if !self.is_going.load(Relaxed) && self.file.lock().is_none() {
            let there = if self.is_on() { self.slots.load(Relaxed) } else { 0 };
            self.set_slots(there.max(slots.next_multiple_of(SLOTS)));
        }
    }

    /// Makes a file the machine's device, unless it has one. Returns whether it has this one now.
    #[track_caller]
    pub(crate) fn enable_file(&self, file: &Arc<Inode>) -> bool {
        let _lock = self.lock.lock();
        let slots = file.size().saturating_sub(HEADER);
        if self.is_on() || self.is_going.load(Relaxed) || slots == 0 {
            return false;
        }
        *self.file.lock() = Some(file.clone());
        self.set_slots(slots);
        true
    }

    /// Lets slots be taken. The caller has `lock`.
    fn set_slots(&self, slots: u64) {
        let new = |number: u64| {
            let lock = SpinLock::new(&SWAP_CLUSTER_LOCK, ("swap cluster", number));
            Arc::new(Cluster { lock, slots: Mutex::default() })
        };
        let mut clusters = self.clusters.lock();
        (clusters.len() as u64..slots.div_ceil(SLOTS)).for_each(|number| clusters.push(new(number)));
        drop(clusters);
        self.slots.store(slots, Relaxed);
        self.set_writable(true);
    }

    fn set_writable(&self, yes: bool) {
        sched::must_hold(self.lock.is_mine(), || "a swap device comes or goes without swap_info->lock".to_owned());
        self.writable.store(yes, Relaxed);
    }

    /// From now on no slot is taken any more. Returns whether that is new: then the caller empties the device.
    pub(crate) fn begin_off(&self) -> bool {
        let _lock = self.lock.lock();
        let was_on = self.is_on();
        if was_on {
            self.set_writable(false);
            self.is_going.store(true, Relaxed);
        }
        was_on
    }

    /// It could not be emptied, and stays.
    pub(crate) fn cancel_off(&self) {
        let _lock = self.lock.lock();
        self.is_going.store(false, Relaxed);
        self.set_writable(true);
    }

    /// The device is empty, and goes. The processes that once had something swapped out are forgotten, if nobody has (the
    /// kernel's `drain_mmlist`). Returns the file that it was, if it was one.
    pub(crate) fn end_off(&self) -> Option<Arc<Inode>> {
        let _lock = self.lock.lock();
        sched::must_hold(self.lock.is_mine(), || "mmlist is emptied while slots may be taken".to_owned());
        if self.in_use() == 0 {
            self.mmlist.clear();
        }
        self.is_going.store(false, Relaxed);
        self.file.lock().take()
    }

    /// Takes a free slot for the swap cache.
    #[track_caller]
    pub(crate) fn take_slot(&self) -> Option<u64> {
        let _lock = self.lock.lock();
        if !self.is_on() {
            return None;
        }
        let clusters = self.clusters.lock().clone();
        let all = self.slots.load(Relaxed);
        let free = |number: u64, cluster: &Cluster| {
            let room = all.saturating_sub(number * SLOTS).min(SLOTS) as usize;
            cluster.slots.lock()[..room].iter().position(|slot| slot.is_free())
        };
        let (number, cluster) = (0..).zip(&clusters).find(|(number, cluster)| free(*number, cluster).is_some())?;
        let locked = cluster.lock.lock();
        let index = free(number, cluster)? as u64;
        change(cluster, &locked, index, |slot| slot.cached = true);
        self.in_use.fetch_add(1, Relaxed);
        Some(number * SLOTS + index)
    }

    /// Counts one more user of a slot that has one, or that the swap cache has.
    #[track_caller]
    pub(crate) fn duplicate(&self, slot: u64) {
        let was = self.with(slot, |slot| slot.users += 1);
        if was.leaving || was.is_free() {
            sched::finding(Invariant::SwapMismatch, format!("slot {slot} gets a user although nobody has it"));
        }
    }

    /// Takes a slot for the swap cache if it has users and is not there.
    #[track_caller]
    pub(crate) fn prepare(&self, slot: u64) -> Prepared {
        let was = self.with(slot, |slot| slot.cached |= slot.users > 0);
        match was {
            Slot { users: 0, .. } => Prepared::Gone,
            Slot { cached: true, .. } => Prepared::Exists,
            Slot { .. } => Prepared::Yes,
        }
    }

    /// A user is gone.
    #[track_caller]
    pub(crate) fn free(&self, slot: u64) {
        let was = self.with(slot, |slot| {
            slot.users = slot.users.saturating_sub(1);
            slot.leaving = slot.users == 0 && !slot.cached;
        });
        if was.users == 0 {
            sched::finding(Invariant::SwapMismatch, format!("slot {slot} loses a user that it does not have"));
        }
        if was.users == 1 && !was.cached {
            self.give_back(slot);
        }
    }

    /// The swap cache does not have it any more (the kernel's `put_swap_folio`).
    #[track_caller]
    pub(crate) fn uncached(&self, slot: u64) {
        let was = self.with(slot, |slot| {
            slot.cached = false;
            slot.leaving = slot.users == 0;
        });
        if was.users == 0 {
            self.give_back(slot);
        }
    }

    /// Gives a slot that is leaving back to the device.
    #[track_caller]
    fn give_back(&self, slot: u64) {
        let _lock = self.lock.lock();
        self.with(slot, |slot| *slot = Slot::default());
        self.in_use.fetch_sub(1, Relaxed);
        self.cache.forget_shadow(slot);
    }

    /// Returns how many entries use a slot, without its lock.
    pub(crate) fn users(&self, slot: u64) -> u32 {
        let cluster = self.cluster(slot);
        let slots = cluster.slots.lock();
        slots[(slot % SLOTS) as usize].users
    }

    /// Returns the slots that are taken, with their users and whether the swap cache has them: for the invariants.
    pub(crate) fn taken(&self) -> Vec<(u64, u32, bool)> {
        let clusters = self.clusters.lock().clone();
        let slots = clusters.iter().flat_map(|cluster| *cluster.slots.lock());
        let taken = (0..).zip(slots).filter(|(_, slot)| !slot.is_free());
        taken.map(|(number, slot)| (number, slot.users, slot.cached)).collect()
    }

    /// Changes a slot under the lock of its cluster. Returns what it was.
    #[track_caller]
    fn with(&self, slot: u64, f: impl FnOnce(&mut Slot)) -> Slot {
        let cluster = self.cluster(slot);
        let locked = cluster.lock.lock();
        change(&cluster, &locked, slot % SLOTS, f)
    }

    fn cluster(&self, slot: u64) -> Arc<Cluster> {
        self.clusters.lock()[(slot / SLOTS) as usize].clone()
    }
}

/// Changes a slot. Returns what it was.
fn change(cluster: &Cluster, _locked: &SpinGuard, index: u64, f: impl FnOnce(&mut Slot)) -> Slot {
    sched::must_hold(cluster.lock.is_mine(), || "a swap slot is counted without the lock of its cluster".to_owned());
    let mut slots = cluster.slots.lock();
    let slot = &mut slots[index as usize];
    let was = *slot;
    f(slot);
    was
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_free_again_when_neither_entries_nor_the_cache_have_it() {
        let swap = Swap::new();
        assert_eq!(swap.take_slot(), None, "no device");
        swap.enable(20);
        let slot = swap.take_slot().unwrap();
        swap.duplicate(slot);
        swap.duplicate(slot);
        assert_eq!(swap.prepare(slot), Prepared::Exists);
        swap.uncached(slot);
        assert_eq!(swap.prepare(slot), Prepared::Yes);
        swap.uncached(slot);
        swap.free(slot);
        assert_eq!((swap.users(slot), swap.in_use()), (1, 1));
        swap.free(slot);
        assert_eq!((swap.prepare(slot), swap.in_use()), (Prepared::Gone, 0));
        assert!(swap.taken().is_empty());
    }

    #[test]
    fn a_full_device_has_no_slot_and_one_that_is_switched_off_neither() {
        let swap = Swap::new();
        swap.enable(16);
        let slots: Vec<_> = std::iter::from_fn(|| swap.take_slot()).collect();
        assert_eq!(slots, (0..16).collect::<Vec<_>>());
        swap.uncached(3);
        assert!(swap.begin_off());
        assert_eq!(swap.take_slot(), None);
        swap.enable(16);
        assert_eq!(swap.take_slot(), None, "it is on its way out");
        swap.cancel_off();
        assert_eq!(swap.take_slot(), Some(3));
    }
}
