use proptest::prelude::*;

use super::*;
use crate::context::{ContextId, ContextSet, WaitType};

#[derive(Clone, Debug)]
enum Op {
    Push(u32, Mode, bool),
    Release(usize),
    SetMode(usize, Mode),
    /// As a guard does it: the quick way, and if that is none, the other.
    Drop(usize),
    Pin(usize),
    Context(bool),
    Freeze(bool),
}

fn op() -> impl Strategy<Value = Op> {
    let mode = prop::sample::select(Mode::ALL.to_vec());
    prop_oneof![
        3 => (0u32..6, mode.clone(), any::<bool>()).prop_map(|(class, mode, trylock)| Op::Push(class, mode, trylock)),
        2 => any::<usize>().prop_map(Op::Release),
        1 => (any::<usize>(), mode).prop_map(|(index, mode)| Op::SetMode(index, mode)),
        3 => prop_oneof![Just(usize::MAX), any::<usize>()].prop_map(Op::Drop),
        1 => any::<usize>().prop_map(Op::Pin),
        1 => any::<bool>().prop_map(Op::Context),
        1 => any::<bool>().prop_map(Op::Freeze),
    ]
}

/// The twin: a plain list, whose key is computed from scratch as long as nothing is special.
#[derive(Default)]
struct Twin(Vec<(Acquired, u64)>);

impl Twin {
    fn key(&self) -> ChainKey {
        let is_more_of_the_same =
            |depth: usize| depth > INLINE && self.0[depth - 2..depth].iter().all(|below| below.0 == self.0[depth].0);
        let key = |depths: std::ops::Range<usize>| {
            let counting = depths.filter(|depth| !is_more_of_the_same(*depth));
            counting.fold(ChainKey::EMPTY, |key, depth| key.then(self.0[depth].0))
        };
        match self.0.len() {
            len @ ..=INLINE => key(0..len),
            len => key(0..INLINE).over(key(INLINE..len)),
        }
    }

    fn instance(&self, index: usize) -> u64 {
        if self.0.is_empty() { u64::MAX } else { self.0[index % self.0.len()].1 }
    }

    fn position(&self, instance: u64) -> Option<usize> {
        self.0.iter().rposition(|(_, held)| *held == instance)
    }
}

proptest! {
    #[test]
    fn the_stack_behaves_like_a_list(ops in prop::collection::vec(op(), 0..120), deep in 0u32..80, run in 1u32..80) {
        let stack = HeldStack::new();
        let mut twin = Twin::default();
        let (mut frozen, mut entered, mut noted) = (false, 0, false);
        let deepen = (0..deep).map(|lock| Op::Push(lock / run, Mode::Exclusive, false));
        for (step, op) in deepen.chain(ops).enumerate() {
            match op {
                Op::Push(class, mode, trylock) => {
                    let how = Acquired::new(ClassId::new(class), mode, trylock);
                    // Every third lock is one that is held already, if there is one.
                    let instance = if step % 3 == 0 { twin.instance(step) } else { step as u64 };
                    stack.push(how, instance, Point::new(step as u64));
                    twin.0.push((how, instance));
                }
                Op::Release(index) => {
                    let instance = twin.instance(index);
                    let expected = twin.position(instance).map(|position| twin.0.remove(position));
                    let removed = stack.release(instance)
                        .map(|lock| (lock.how().marked(false, false), lock.instance()));
                    prop_assert_eq!(removed, expected);
                }
                Op::Drop(index) => {
                    // Mostly the innermost one.
                    let instance = twin.0.last().filter(|_| index == usize::MAX).map_or(twin.instance(index), |top| top.1);
                    let position = twin.position(instance);
                    let innermost = position.is_some_and(|position| position + 1 == twin.0.len());
                    let popped = stack.pop(instance);
                    prop_assert!(!popped || innermost && !frozen);
                    prop_assert!(popped || noted || frozen || !innermost || stack.len() > INLINE);
                    let pulled = !popped && stack.floor().is_some_and(|floor| stack.pull(instance, floor));
                    prop_assert!(!pulled || position.is_some() && !frozen);
                    prop_assert!(popped || pulled || noted || frozen || position.is_none() || stack.len() > INLINE);
                    prop_assert_eq!(popped || pulled || stack.release(instance).is_some(), position.is_some());
                    position.map(|position| twin.0.remove(position));
                }
                Op::Pin(index) => {
                    let instance = twin.instance(index);
                    prop_assert_eq!(stack.pin(instance, 1), twin.position(instance).is_some());
                    noted |= twin.position(instance).is_some();
                    let innermost = twin.0.last().is_some_and(|top| top.1 == instance);
                    prop_assert!(!(innermost && stack.pop(instance)), "what is pinned is not popped");
                }
                Op::Context(enter) => {
                    noted = true;
                    if enter {
                        stack.enter(ContextId::HARDIRQ, ContextSet::EMPTY, WaitType::Any);
                        entered += 1;
                    } else {
                        prop_assert_eq!(stack.exit(ContextId::HARDIRQ).is_some(), entered > 0);
                        entered = (entered - 1i32).max(0);
                    }
                }
                Op::Freeze(freeze) => {
                    if freeze { stack.freeze() } else { stack.thaw() }
                    frozen = freeze;
                }
                Op::SetMode(index, mode) => {
                    let instance = twin.instance(index);
                    let position = twin.position(instance);
                    prop_assert_eq!(stack.set_mode(instance, mode), position.is_some());
                    if let Some(position) = position {
                        let class = twin.0[position].0.class();
                        twin.0[position].0 = Acquired::new(class, mode, true);
                    }
                }
            }
            stack.check_invariants();
            prop_assert!(noted || stack.key() == twin.key());
            let plain = |how: Acquired| how.marked(false, false);
            let held: Vec<_> = stack.iter().map(|lock| (plain(lock.how()), lock.instance())).collect();
            prop_assert_eq!(&held, &twin.0);
            prop_assert_eq!(stack.get(held.len()), None);
        }
    }
}

#[test]
fn hundreds_of_one_class_have_one_key_and_what_is_above_them_another() {
    let how = |class| Acquired::new(ClassId::new(class), Mode::Exclusive, true);
    let stack = HeldStack::new();
    (0..500).for_each(|lock| stack.push(how(7), lock, Point::new(1)));
    let (key, with) = (stack.key(), stack.key_with(how(8)));
    assert_ne!(key, with);
    (0..467).for_each(|lock| assert!(stack.release(lock).is_some()));
    assert_eq!((stack.key(), stack.key_with(how(8)), stack.len()), (key, with, INLINE + 1));
    stack.release(467);
    assert_ne!(stack.key(), key);
    stack.check_invariants();
}

#[test]
fn the_key_tells_order_class_mode_and_trylock_apart() {
    let how = |class, mode, trylock| Acquired::new(ClassId::new(class), mode, trylock);
    let a = how(1, Mode::Exclusive, false);
    let others = [how(2, Mode::Exclusive, false), how(1, Mode::Shared, false), how(1, Mode::Exclusive, true)];
    for other in others {
        assert_ne!(ChainKey::EMPTY.then(a), ChainKey::EMPTY.then(other));
        assert_ne!(ChainKey::EMPTY.then(a).then(other), ChainKey::EMPTY.then(other).then(a));
    }
}

#[test]
fn what_is_noted_of_a_lock_goes_with_it() {
    let how = Acquired::new(ClassId::new(1), Mode::Exclusive, false);
    let push = |stack: &HeldStack, instance| stack.push(how, instance, Point::new(1));
    let stack = HeldStack::new();
    push(&stack, 1);
    push(&stack, 7);
    stack.set_rank(7, 5);
    stack.set_nest(7, 1);
    assert!(!stack.pop(7), "its notes would stay behind");
    assert!(stack.release(7).is_some());
    push(&stack, 7);
    assert_eq!((stack.rank(7), stack.nested_under(1)), (None, None));
    // Held twice, and let go of once.
    stack.set_rank(7, 6);
    push(&stack, 7);
    assert!(stack.release(7).is_some());
    assert_eq!(stack.rank(7), Some(6));
    stack.check_invariants();
    for lock in 100..3000 {
        push(&stack, lock);
        stack.set_nest(lock, 1);
    }
    assert!(stack.nested_under(1).is_some());
    (100..1000).for_each(|lock| assert!(stack.release(lock).is_some()));
    (1000..3000).rev().for_each(|lock| assert!(stack.release(lock).is_some()));
    assert_eq!(stack.nested_under(1), None);
    assert!(stack.release(7).is_some() && stack.pop(1), "nothing is noted any more");
}
