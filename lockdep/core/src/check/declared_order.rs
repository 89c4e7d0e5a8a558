//! The order that a class declares for its own locks: by rank, lowest first, or as a function compares their ranks.
//!
//! A rank is an address or a key. Equal ranks do not nest: nothing says which of the two is first. A lock without a rank
//! has none to compare, and does not nest either.

use crate::{
    held::{HeldLock, HeldStack},
    request::Request,
    traits::SameClass,
};

/// Returns whether the class, whose order is declared by `rule`, keeps this lock from being acquired while `lock`, of the
/// same class, is held.
pub(crate) fn out_of_order(held: &HeldStack, lock: HeldLock, rule: SameClass, request: &Request) -> bool {
    let precedes = match rule {
        SameClass::Compared => request.precedes,
        _ => Some((|outer, inner| outer < inner) as fn(u64, u64) -> bool),
    };
    let Some(precedes) = precedes else { return false };
    match (held.rank(lock.instance()), request.rank) {
        (Some(outer), Some(inner)) => !precedes(outer, inner),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Acquired, ClassId, Mode, Point};

    const HOW: Acquired = Acquired::new(ClassId::new(1), Mode::Exclusive, false);

    /// The ranks of these that may be acquired while rank 50 is held.
    fn allowed(rule: SameClass, precedes: Option<fn(u64, u64) -> bool>) -> Vec<Option<u64>> {
        let held = HeldStack::new();
        held.push(HOW, 7, Point::new(1));
        held.set_rank(7, 50);
        let lock = held.get(0).unwrap();
        let request = |rank| Request { rank, precedes, ..Request::new(HOW, 8, Point::new(1)) };
        let ranks = [None, Some(49), Some(50), Some(51)].into_iter();
        ranks.filter(|rank| !out_of_order(&held, lock, rule, &request(*rank))).collect()
    }

    #[test]
    fn ranks_rise() {
        assert_eq!(allowed(SameClass::ByRank, None), [Some(51)]);
        let held = HeldStack::new();
        held.push(HOW, 8, Point::new(1));
        let request = Request { rank: Some(9), ..Request::new(HOW, 9, Point::new(1)) };
        assert!(out_of_order(&held, held.get(0).unwrap(), SameClass::ByRank, &request), "a lock without a rank");
    }

    #[test]
    fn a_function_compares_ranks() {
        assert_eq!(allowed(SameClass::Compared, Some(|outer, inner| outer > inner)), [Some(49)]);
        assert_eq!(allowed(SameClass::Compared, None).len(), 4, "nobody can tell");
    }
}
