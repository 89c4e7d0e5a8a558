//! Wait types: what is waited for must be allowed by everything that is held, and by the context.
//!
//! What an acquisition needs is compared with the least of what the context allows and what the held locks of this
//! context allow. A trylock does not wait. O(locks held in this context).

use crate::{
    context::WaitType,
    held::{HeldLock, HeldStack},
    request::Request,
    traits::TraitTable,
    violation::Violation,
};

/// Returns the lock that allows least, with what it allows.
fn strictest(locks: impl Iterator<Item = HeldLock>, traits: &TraitTable) -> Option<(WaitType, HeldLock)> {
    let allows = |lock: HeldLock| traits.get(lock.class()).wait.inner.map(|inner| (inner, lock));
    locks.filter_map(allows).min_by_key(|(inner, _)| *inner)
}

/// Returns the violation if the acquisition needs more than is allowed.
pub(crate) fn exceeded(held: &HeldStack, request: &Request, traits: &TraitTable) -> Option<Violation> {
    let needs = traits.get(request.how.class()).wait.needs()?;
    let context = held.contexts().limit;
    let (limit, lock) = match strictest(held.in_context(), traits) {
        Some((inner, lock)) if inner < context => (inner, Some(lock)),
        _ => (context, None),
    };
    (needs > limit).then_some(Violation::WaitType { needs, limit, held: lock, suspends: false })
}

/// Returns the violation if the task may not be suspended here: a lock whose guard must not cross an await point has been
/// acquired since the poll began. What the thread holds around the poll is not the task's.
pub(crate) fn await_point(held: &HeldStack, traits: &TraitTable) -> Option<Violation> {
    let needs = WaitType::Await;
    let (limit, lock) = strictest(held.since_entered(), traits).filter(|(inner, _)| *inner < needs)?;
    Some(Violation::WaitType { needs, limit, held: Some(lock), suspends: true })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        class::ClassId,
        context::{ContextId, ContextSet, WaitTypes},
        held::{Acquired, Point},
        mode::Mode,
        traits::ClassTraits,
    };

    const LEVELS: [WaitType; 5] = [WaitType::Free, WaitType::Spin, WaitType::Config, WaitType::Sleep, WaitType::Await];

    fn table() -> TraitTable {
        let mut table = TraitTable::default();
        for (class, wait) in (0..).zip(LEVELS) {
            table.set(ClassId::new(class), ClassTraits { wait: WaitTypes::both(wait), ..ClassTraits::default() });
        }
        table
    }

    fn request(class: u32) -> Request {
        Request::new(Acquired::new(ClassId::new(class), Mode::Exclusive, false), u64::from(class), Point::new(1))
    }

    #[test]
    fn under_each_level_only_that_level_and_those_below_may_be_waited_for() {
        for outer in 0..5 {
            let held = HeldStack::new();
            held.push(request(outer).how, 99, Point::new(1));
            for inner in 0..5 {
                assert_eq!(exceeded(&held, &request(inner), &table()).is_some(), inner > outer, "{outer} {inner}");
            }
            let forbidden = await_point(&held, &table()).is_some();
            assert_eq!(forbidden, LEVELS[outer as usize] < WaitType::Await);
            assert_eq!(exceeded(&held, &request(900), &table()), None, "an unchecked class");
        }
    }

    #[test]
    fn what_is_held_around_a_poll_does_not_cross_its_await_points() {
        let held = HeldStack::new();
        held.push(request(3).how, 99, Point::new(1));
        held.enter(ContextId::POLL, ContextSet::EMPTY, WaitType::Any);
        assert_eq!(await_point(&held, &table()), None);
        held.push(request(3).how, 98, Point::new(1));
        assert!(matches!(await_point(&held, &table()), Some(Violation::WaitType { held: Some(lock), .. })
            if lock.instance() == 98));
        assert!(exceeded(&held, &request(4), &table()).is_some(), "and yet it is held");
    }

    #[test]
    fn a_context_has_its_own_limit_and_forgets_what_was_interrupted() {
        let held = HeldStack::new();
        held.push(request(1).how, 99, Point::new(1));
        held.enter(ContextId::SIGNAL, ContextSet::EMPTY, WaitType::Config);
        assert_eq!(exceeded(&held, &request(2), &table()), None);
        assert!(matches!(
            exceeded(&held, &request(3), &table()),
            Some(Violation::WaitType { limit: WaitType::Config, held: None, .. })
        ));
    }
}
