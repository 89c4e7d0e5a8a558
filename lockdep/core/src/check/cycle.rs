//! Which held locks a new one depends on.
//!
//! In principle all of them. But a held lock whose acquisition could block on any holder has a dependency from everything
//! that was held below it, and a walk that goes through it goes on whatever follows; so below the first such lock nothing
//! would be missed. That is as far as the kernel looks (it also stops at recursive readers, through which a walk does
//! *not* always go on). We record [`DIRECT`] locks more, because a direct dependency makes the shorter explanation, and
//! tells how many threads a deadlock takes.

use crate::{
    held::{HeldLock, HeldStack},
    traits::TraitTable,
};

/// How many held locks get a direct dependency although it is implied. Few in this crate's tests, so that they see what is
/// implied.
pub(crate) const DIRECT: usize = if cfg!(test) { 2 } else { 16 };

/// Returns the held locks that a lock acquired now must get a dependency from, innermost first.
///
/// Only the locks of the present context count: what an interrupted thread holds is a matter of usage. A class without
/// order takes no part, and a per-processor lock covers nothing, since not every way may lead through it.
pub(crate) fn relevant<'a>(held: &'a HeldStack, traits: &'a TraitTable) -> impl Iterator<Item = HeldLock> {
    let mut cover = None;
    let ordered = held.in_context().rev().filter(|lock| traits.is_ordered(lock.class()));
    ordered.enumerate().filter_map(move |(index, lock)| {
        // What was trylocked, or changed its mode, below a covering lock may be covered in another mode only; locks of
        // one class have no dependencies among each other that could cover.
        let wanted = cover.is_none_or(|class| class == lock.class()) || index < DIRECT || lock.how().is_trylock();
        if cover.is_none() && lock.is_full() && !traits.get(lock.class()).per_cpu {
            cover = Some(lock.class());
        }
        wanted.then_some(lock)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        class::ClassId,
        held::{Acquired, Point},
        mode::Mode,
    };

    fn classes(locks: impl Iterator<Item = (Mode, bool)>) -> Vec<u32> {
        let held = HeldStack::new();
        for (class, (mode, trylock)) in (0..).zip(locks) {
            held.push(Acquired::new(ClassId::new(class), mode, trylock), u64::from(class), Point::new(1));
        }
        relevant(&held, &TraitTable::default()).map(|lock| lock.class().base()).collect()
    }

    #[test]
    fn a_deep_stack_costs_no_more_than_a_few_dependencies() {
        let locks = std::iter::repeat_n((Mode::Exclusive, false), 10_000);
        assert_eq!(classes(locks).len(), DIRECT);
    }

    #[test]
    fn nothing_is_passed_over_beneath_trylocks_and_recursive_readers() {
        let locks = || std::iter::repeat_n((Mode::Exclusive, false), 2);
        let tries = std::iter::repeat_n((Mode::Exclusive, true), 50);
        assert_eq!(classes(locks().chain(tries)).len(), 51, "the outermost is covered");
        let readers = std::iter::repeat_n((Mode::SharedRecursive, false), 50);
        assert_eq!(classes(locks().chain(readers)).len(), 51, "the outermost is covered");
    }
}
