//! [`Proven`]: the acquisition points that a thread has seen proven, in a table that grows with them.
//!
//! The thread's account has no destructor, and the fast path cannot afford to borrow. So tables live for ever, and go
//! from thread to thread. Each is 8 MiB of addresses; only the part in use is ever touched, 8 KiB at first.

use std::{cell::Cell, sync::atomic::AtomicU64};

use lockdep_core::{ChainCache, Point};
use parking_lot::Mutex;

/// How many points a thread can have in its table. Beyond half as many, some have to be looked up in the session's own
/// set, which is shared.
const SLOTS: usize = 1 << 20;
/// How many slots a new table uses.
const SLOTS_MIN: usize = 1 << 10;
/// How much larger it then becomes.
const GROWTH: usize = 2;
/// How many acquisitions of certain locks under certain locks a thread remembers. Locks come and go by the million, so
/// this does not grow with them.
const EXACT: usize = 1 << 13;

type Slots = [AtomicU64; SLOTS];
type Table = ChainCache<'static, SLOTS>;

/// The table of a thread that has none. Of these zeros only the first two are ever looked at.
static NONE: Slots = [const { AtomicU64::new(0) }; SLOTS];

/// Tables that no thread uses, all zeros.
static SPARE: Mutex<Vec<&'static Slots>> = Mutex::new(Vec::new());

/// Returns a table, if there is memory for one and somebody who will give it back.
fn new_slots(is_kept: impl FnOnce() -> bool) -> Option<&'static Slots> {
    if !is_kept() {
        return None;
    }
    if let Some(slots) = SPARE.lock().pop() {
        return Some(slots);
    }
    // Zeroed by the system, page by page, when they are touched.
    let slots = bytemuck::allocation::try_zeroed_slice_box::<AtomicU64>(SLOTS).ok()?;
    (&*Box::leak(slots)).try_into().ok()
}

fn give_back(table: Table) {
    if table.slots() > 0 {
        table.clear();
        SPARE.lock().push(table.table());
    }
}

/// The points that a thread has seen proven, and those of them that it has for certain locks only.
#[derive(Debug)]
pub(super) struct Proven {
    table: Cell<Table>,
    used: Cell<usize>,
    exact: Cell<Table>,
}

impl Proven {
    pub(super) const fn new() -> Self {
        let none = ChainCache::none(&NONE);
        Self { table: Cell::new(none), used: Cell::new(0), exact: Cell::new(none) }
    }

    /// Returns whether the point is where the fast path looks.
    #[inline(always)]
    pub(super) fn contains(&self, point: Point) -> bool {
        self.table.get().contains(point)
    }

    /// Returns whether the point is in the table, and puts it where the fast path looks.
    pub(super) fn find(&self, point: Point) -> bool {
        let table = self.table.get();
        table.slots() > 0 && table.find(point)
    }

    /// Adds a point. `is_kept` says whether anybody will give a table back.
    pub(super) fn insert(&self, point: Point, is_kept: impl FnOnce() -> bool) {
        if self.find(point) {
            return;
        }
        let slots = self.table.get().slots();
        if slots == 0 {
            let Some(slots) = new_slots(is_kept) else { return };
            self.table.set(ChainCache::over(slots, SLOTS_MIN));
        } else if self.used.get() * 2 >= slots && slots < SLOTS {
            self.table.set(self.table.get().grown((slots * GROWTH).min(SLOTS)));
        }
        if self.table.get().insert(point) {
            self.used.set(self.used.get() + 1);
        }
    }

    /// Returns whether the point is proven for these locks, as [`HeldStack::point_within`](lockdep_core::HeldStack) has it.
    pub(super) fn find_exact(&self, exact: Point) -> bool {
        let table = self.exact.get();
        table.slots() > 0 && table.find(exact)
    }

    /// Adds a point for these locks, as [`insert`](Self::insert).
    pub(super) fn insert_exact(&self, exact: Point, is_kept: impl FnOnce() -> bool) {
        if self.find_exact(exact) {
            return;
        }
        if self.exact.get().slots() == 0 {
            let Some(slots) = new_slots(is_kept) else { return };
            self.exact.set(ChainCache::over(slots, EXACT));
        }
        self.exact.get().insert(exact);
    }

    /// Exchanges everything with another set.
    pub(super) fn swap(&self, other: &Self) {
        self.table.swap(&other.table);
        self.used.swap(&other.used);
        self.exact.swap(&other.exact);
    }

    /// Forgets everything, and gives the tables back.
    pub(super) fn clear(&self) {
        self.used.set(0);
        give_back(self.table.replace(ChainCache::none(&NONE)));
        give_back(self.exact.replace(ChainCache::none(&NONE)));
    }
}
