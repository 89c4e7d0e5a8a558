//! Balance and lifetime: what a thread lets go of, leaves behind or destroys must fit what it holds.

use crate::{
    held::{HeldLock, HeldStack},
    mode::HoldKind,
    report::Code,
    violation::Violation,
};

fn state(code: Code, held: Option<HeldLock>) -> Violation {
    Violation::State { code, held }
}

/// Returns what is wrong with releasing the lock `instance`.
pub(crate) fn release(held: &HeldStack, instance: u64) -> Option<Violation> {
    match held.find(instance) {
        None => Some(state(Code::ReleaseUnheld, None)),
        Some(lock) if lock.how().is_pinned() => Some(state(Code::PinnedRelease, Some(lock))),
        // A lock that was nested under this one would go on without its protection.
        Some(_) => held.nested_under(instance).map(|nested| state(Code::NestNotHeld, Some(nested))),
    }
}

/// Returns what is wrong with destroying the lock, or initialising it anew.
pub(crate) fn free(held: &HeldStack, instance: u64) -> Option<Violation> {
    held.find(instance).map(|lock| state(Code::HeldFreed, Some(lock)))
}

/// Returns what is wrong with ending the thread now.
pub(crate) fn exit(held: &HeldStack) -> Option<Violation> {
    held.iter().next_back().map(|lock| state(Code::HeldAtExit, Some(lock)))
}

/// Returns what is wrong with the assertion that the lock is held, in this way if one is named.
pub(crate) fn assert_held(held: &HeldStack, instance: u64, hold: Option<HoldKind>) -> Option<Violation> {
    let lock = held.find(instance);
    let holds = lock.is_some_and(|lock| hold.is_none_or(|hold| hold == lock.hold()));
    (!holds).then(|| state(Code::NotHeld, lock))
}

/// Returns what is wrong with making a reader of the writer that holds the lock.
pub(crate) fn downgrade(held: &HeldStack, instance: u64) -> Option<Violation> {
    assert_held(held, instance, Some(HoldKind::Exclusive))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Acquired, ClassId, Mode, Point};

    #[test]
    fn each_rule_sees_its_own_mistake_and_nothing_else() {
        let held = HeldStack::new();
        let code = |violation: Option<Violation>| violation.map(|violation| violation.code());
        assert_eq!(code(release(&held, 1)), Some(Code::ReleaseUnheld));
        assert_eq!(code(free(&held, 1)), None);
        assert_eq!(code(exit(&held)), None);
        assert_eq!(code(assert_held(&held, 1, None)), Some(Code::NotHeld));
        held.push(Acquired::new(ClassId::new(1), Mode::Shared, false), 1, Point::new(1));
        assert_eq!(code(release(&held, 1)), None);
        assert_eq!(code(free(&held, 1)), Some(Code::HeldFreed));
        assert_eq!(code(exit(&held)), Some(Code::HeldAtExit));
        assert_eq!(code(assert_held(&held, 1, None)), None);
        assert_eq!(code(assert_held(&held, 1, Some(HoldKind::Exclusive))), Some(Code::NotHeld));
        assert_eq!(code(downgrade(&held, 1)), Some(Code::NotHeld));
        assert!(held.pin(1, 5));
        assert_eq!(code(release(&held, 1)), Some(Code::PinnedRelease));
        held.push(Acquired::new(ClassId::new(2), Mode::Exclusive, false), 2, Point::new(1));
        held.set_nest(2, 1);
        assert!(!held.unpin(1, 6) && held.unpin(1, 5));
        assert_eq!(code(release(&held, 1)), Some(Code::NestNotHeld));
        held.release(2);
        assert_eq!(code(release(&held, 1)), None);
    }
}
