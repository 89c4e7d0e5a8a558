//! The order that a class declares for its own locks: by rank, lowest first.
//!
//! A rank is an address, a key, or the place that a comparison function gives a lock. Equal ranks do not nest: nothing
//! says which of the two is first. A lock without a rank has none to compare, and does not nest either.

use crate::held::{HeldLock, HeldStack};

/// Returns whether a lock of rank `rank` may not be acquired while `lock`, of the same class, is held.
pub(crate) fn out_of_order(held: &HeldStack, lock: HeldLock, rank: Option<u64>) -> bool {
    match (held.rank(lock.instance()), rank) {
        (Some(outer), Some(inner)) => outer >= inner,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Acquired, ClassId, Mode, Point};

    #[test]
    fn ranks_rise() {
        let held = HeldStack::new();
        held.push(Acquired::new(ClassId::new(1), Mode::Exclusive, false), 7, Point::new(1));
        held.set_rank(7, 50);
        let lock = held.get(0).unwrap();
        let allowed = [None, Some(49), Some(50), Some(51)].map(|rank| !out_of_order(&held, lock, rank));
        assert_eq!(allowed, [false, false, false, true]);
        held.release(7);
        held.push(lock.how(), 8, lock.point());
        assert!(out_of_order(&held, held.get(0).unwrap(), Some(9)), "a lock without a rank");
    }
}
