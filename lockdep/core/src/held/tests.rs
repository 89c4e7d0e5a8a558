use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Op {
    Push(u32, Mode, bool),
    Release(usize),
    SetMode(usize, Mode),
}

fn op() -> impl Strategy<Value = Op> {
    let mode = prop::sample::select(Mode::ALL.to_vec());
    prop_oneof![
        3 => (0u32..6, mode.clone(), any::<bool>()).prop_map(|(class, mode, trylock)| Op::Push(class, mode, trylock)),
        2 => any::<usize>().prop_map(Op::Release),
        1 => (any::<usize>(), mode).prop_map(|(index, mode)| Op::SetMode(index, mode)),
    ]
}

/// The twin: a plain list, whose key is computed from scratch.
#[derive(Default)]
struct Twin(Vec<(Acquired, u64)>);

impl Twin {
    fn key(&self) -> ChainKey {
        self.0.iter().fold(ChainKey::EMPTY, |key, (how, _)| key.then(*how))
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
    fn the_stack_behaves_like_a_list(ops in prop::collection::vec(op(), 0..120), deep in 0u32..60) {
        let stack = HeldStack::new();
        let mut twin = Twin::default();
        let deepen = (0..deep).map(|class| Op::Push(class, Mode::Exclusive, false));
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
                    let removed = stack.release(instance).map(|lock| (lock.how(), lock.instance()));
                    prop_assert_eq!(removed, expected);
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
            prop_assert_eq!(stack.key(), twin.key());
            let held: Vec<_> = stack.iter().map(|lock| (lock.how(), lock.instance())).collect();
            prop_assert_eq!(&held, &twin.0);
            prop_assert_eq!(stack.get(held.len()), None);
        }
    }
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
