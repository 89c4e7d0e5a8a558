//! The same class again on one thread's stack.
//!
//! A second acquisition of one and the same lock is a deadlock for certain unless it is a recursive read over a read. Two
//! locks of one class depend on the class: an explicit class forbids it (the kernel's rule: say with a subclass which
//! nests in which), a class made of a construction site has its locks ordered one by one.

use crate::{
    held::{HeldLock, HeldStack},
    mode::WaitKind,
};

/// A held lock of the class that is acquired again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nesting {
    /// Cannot block.
    Harmless,
    /// The thread would wait for itself.
    SameInstance,
    /// Another lock of the class, held so that it can block.
    OtherInstance,
}

/// Returns how an acquisition of the lock `instance`, waited for as `wait` says, stands to a held lock of its class.
fn judge(lock: HeldLock, instance: u64, wait: WaitKind) -> Nesting {
    match (lock.instance() == instance, wait) {
        // The upgrading reader holds the lock and waits for the others.
        (true, WaitKind::Upgrade) => Nesting::Harmless,
        _ if !lock.hold().blocks(wait) => Nesting::Harmless,
        (true, _) => Nesting::SameInstance,
        (false, _) => Nesting::OtherInstance,
    }
}

/// Returns the held locks of class `how`, innermost first, with what the rule says of each.
pub(crate) fn nesting(
    held: &HeldStack,
    class: crate::ClassId,
    instance: u64,
    wait: WaitKind,
) -> impl Iterator<Item = (HeldLock, Nesting)> {
    let same = held.iter().rev().filter(move |lock| lock.class() == class);
    same.map(move |lock| (lock, judge(lock, instance, wait)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        class::ClassId,
        held::{Acquired, Point},
        mode::Mode,
    };

    fn one(held_mode: Mode, wait: WaitKind, same: bool) -> Nesting {
        let class = ClassId::new(3);
        let held = HeldStack::new();
        held.push(Acquired::new(class, held_mode, false), 1, Point::new(1));
        held.push(Acquired::new(ClassId::new(4), Mode::Exclusive, false), 2, Point::new(1));
        let mut found = nesting(&held, class, if same { 1 } else { 9 }, wait);
        let nesting = found.next().unwrap().1;
        assert!(found.next().is_none(), "other classes do not nest");
        nesting
    }

    #[test]
    fn only_a_recursive_read_over_a_read_is_harmless() {
        for mode in Mode::ALL {
            for wait in [WaitKind::Normal, WaitKind::Recursive] {
                let harmless = mode != Mode::Exclusive && wait == WaitKind::Recursive;
                let expect = |other| if harmless { Nesting::Harmless } else { other };
                assert_eq!(one(mode, wait, true), expect(Nesting::SameInstance), "{mode:?} {wait:?}");
                assert_eq!(one(mode, wait, false), expect(Nesting::OtherInstance), "{mode:?} {wait:?}");
            }
        }
    }

    #[test]
    fn an_upgrade_does_not_wait_for_itself() {
        assert_eq!(one(Mode::Upgradable, WaitKind::Upgrade, true), Nesting::Harmless);
        assert_eq!(one(Mode::Shared, WaitKind::Upgrade, false), Nesting::OtherInstance);
    }
}
