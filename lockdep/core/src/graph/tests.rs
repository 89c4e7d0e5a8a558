use petgraph::{
    algo::{dijkstra, toposort},
    graphmap::DiGraphMap,
};
use proptest::prelude::*;

use super::*;
use crate::mode::HoldKind;

const EN: DependencyKind = DependencyKind { hold: HoldKind::Exclusive, wait: WaitKind::Normal };
const SN: DependencyKind = DependencyKind { hold: HoldKind::Shared, wait: WaitKind::Normal };
const ER: DependencyKind = DependencyKind { hold: HoldKind::Exclusive, wait: WaitKind::Recursive };
const SR: DependencyKind = DependencyKind { hold: HoldKind::Shared, wait: WaitKind::Recursive };
const UN: DependencyKind = DependencyKind { hold: HoldKind::Upgradable, wait: WaitKind::Normal };
const EX: DependencyKind = DependencyKind { hold: HoldKind::Exclusive, wait: WaitKind::Upgrade };

/// The twin: a list of dependencies and the definition. A closed walk is strong if, at each lock on it, the hold
/// with which the walk leaves blocks the wait with which it arrived.
#[derive(Default)]
struct Twin(Vec<Step<u32>>);

impl Twin {
    /// Returns the length of the shortest strong walk that `step` would close, by trying longer and longer ones.
    fn closes(&self, step: Step<u32>) -> Option<usize> {
        let mut ends = vec![(step.inner, step.kind.wait)];
        for length in 2..=3 * self.0.len() + 2 {
            let mut next = Vec::new();
            for &(lock, wait) in &ends {
                for other in self.0.iter().filter(|other| other.outer == lock && other.kind.hold.blocks(wait)) {
                    if other.inner == step.outer && step.kind.hold.blocks(other.kind.wait) {
                        return Some(length);
                    }
                    let end = (other.inner, other.kind.wait);
                    if !next.contains(&end) {
                        next.push(end);
                    }
                }
            }
            ends = next;
        }
        None
    }
}

/// The twin for graphs on which trying walks takes too long: the product graph as the module's head describes it, arc by
/// arc, in a library's hands.
#[derive(Default)]
struct Product(DiGraphMap<(u32, WaitKind), ()>);

impl Product {
    fn add(&mut self, step: Step<u32>) {
        for wait in WaitKind::ALL.into_iter().filter(|wait| step.kind.hold.blocks(*wait)) {
            self.0.add_edge((step.outer, wait), (step.inner, step.kind.wait), ());
        }
    }

    /// Returns the length of the shortest strong walk that `step`, which was added, closes.
    fn closes(&self, step: Step<u32>) -> Option<usize> {
        let lengths = dijkstra(&self.0, (step.inner, step.kind.wait), None, |_| 1);
        let ends = WaitKind::ALL.into_iter().filter(|wait| step.kind.hold.blocks(*wait));
        ends.filter_map(|wait| lengths.get(&(step.outer, wait))).min().map(|length| length + 1)
    }
}

fn step(locks: u32) -> impl Strategy<Value = Step<u32>> {
    let kinds: Vec<DependencyKind> = DependencyKind::all().collect();
    (0..locks, 0..locks - 1, prop::sample::select(kinds)).prop_map(|(outer, inner, kind)| {
        // Never the same lock twice.
        let inner = if inner >= outer { inner + 1 } else { inner };
        Step { outer, inner, kind }
    })
}

/// Checks that a cycle is one: closed, strong, and made of dependencies that are there.
fn check_cycle(cycle: &[Step<u32>], twin: &Twin) -> Result<(), TestCaseError> {
    for (step, next) in cycle.iter().zip(cycle.iter().cycle().skip(1)) {
        prop_assert_eq!(step.inner, next.outer);
        prop_assert!(next.kind.hold.blocks(step.kind.wait));
        prop_assert!(twin.0.contains(step));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn the_graph_agrees_with_the_definition(steps in prop::collection::vec(step(6), 0..40)) {
        let mut graph = DependencyGraph::new();
        let mut twin = Twin::default();
        let mut closing = Vec::new();
        for (index, step) in steps.into_iter().enumerate() {
            let known = twin.0.contains(&step);
            let shortest = twin.closes(step);
            let inserted = graph.insert(step.outer, step.inner, step.kind, index);
            if !known {
                twin.0.push(step);
            }
            match inserted {
                Inserted::Known => prop_assert!(known && !closing.contains(&step)),
                Inserted::KnownToClose => prop_assert!(known && closing.contains(&step)),
                Inserted::New => prop_assert!(!known && shortest.is_none()),
                Inserted::Closes(cycle) => {
                    prop_assert!(!known);
                    prop_assert_eq!(Some(cycle.len()), shortest);
                    prop_assert_eq!(cycle[0], step);
                    check_cycle(&cycle, &twin)?;
                    closing.push(step);
                }
            }
            graph.check_invariants();
        }
        prop_assert_eq!(graph.dependencies().count(), twin.0.len());
    }

    #[test]
    fn a_wide_graph_agrees_with_the_plain_product(steps in prop::collection::vec(step(40), 0..120)) {
        let (mut graph, mut all, mut fitting) = (DependencyGraph::new(), Product::default(), Vec::new());
        for step in steps {
            all.add(step);
            match graph.insert(step.outer, step.inner, step.kind, ()) {
                Inserted::Known => prop_assert!(fitting.contains(&step)),
                Inserted::KnownToClose => prop_assert!(!fitting.contains(&step) && all.closes(step).is_some()),
                Inserted::New => {
                    prop_assert_eq!(all.closes(step), None);
                    fitting.push(step);
                }
                Inserted::Closes(cycle) => prop_assert_eq!(Some(cycle.len()), all.closes(step)),
            }
        }
        let mut ordered = Product::default();
        fitting.into_iter().for_each(|step| ordered.add(step));
        prop_assert!(toposort(&ordered.0, None).is_ok(), "what closes no cycle has an order");
        graph.check_invariants();
    }
}

/// Inserts dependencies between single-letter locks and returns whether one closed a cycle.
fn closes(steps: &[(char, char, DependencyKind)]) -> bool {
    let mut graph = DependencyGraph::new();
    let found: Vec<_> = steps.iter().map(|&(outer, inner, kind)| graph.insert(outer, inner, kind, ())).collect();
    graph.check_invariants();
    found.iter().any(|found| matches!(found, Inserted::Closes(_)))
}

#[test]
fn an_inversion_closes_unless_a_recursive_reader_meets_a_reader() {
    assert!(closes(&[('a', 'b', EN), ('b', 'a', EN)]));
    assert!(closes(&[('a', 'b', SN), ('b', 'a', SN)]), "plain readers queue behind writers");
    assert!(!closes(&[('a', 'b', SR), ('b', 'a', SN)]), "the recursive reader of b passes the reader of b");
    assert!(closes(&[('a', 'b', SR), ('b', 'a', EN)]));
    assert!(!closes(&[('a', 'b', ER), ('b', 'a', SR)]));
    assert!(closes(&[('a', 'b', ER), ('b', 'a', ER)]));
}

#[test]
fn a_lock_first_reached_over_an_unusable_way_is_reached_again_over_a_usable_one() {
    // b is met over a recursive read first, where its reader cannot block; the way over c can.
    let steps = [('a', 'b', ER), ('a', 'c', EN), ('c', 'b', EN), ('b', 'd', SN), ('d', 'a', EN)];
    for turn in 0..steps.len() {
        let mut turned = steps;
        turned.rotate_left(turn);
        assert!(closes(&turned), "in the order {turned:?}");
    }
}

#[test]
fn an_upgrade_waits_for_readers_only() {
    // One thread: upgradable(a), b, upgrade a. Two of them exclude each other at a.
    assert!(!closes(&[('a', 'b', UN), ('b', 'a', EX)]));
    // A reader of a that wants b is in the way of the upgrade.
    assert!(closes(&[('a', 'b', UN), ('b', 'a', EX), ('a', 'b', SN)]));
    assert!(!closes(&[('b', 'a', EX), ('a', 'b', EN)]), "there is no writer while somebody upgrades");
}

#[test]
fn checking_goes_on_after_a_cycle() {
    let mut graph = DependencyGraph::new();
    assert_eq!(graph.insert('a', 'b', EN, 1), Inserted::New);
    assert!(matches!(graph.insert('b', 'a', EN, 2), Inserted::Closes(_)));
    assert_eq!(graph.insert('b', 'a', EN, 3), Inserted::KnownToClose);
    assert_eq!(graph.insert('a', 'b', EN, 4), Inserted::Known);
    assert_eq!(graph.insert('a', 'c', EN, 5), Inserted::New);
    // This one passes through the parked b -> a.
    let Inserted::Closes(cycle) = graph.insert('c', 'b', EN, 6) else { panic!("b -> a -> c -> b is a cycle") };
    assert_eq!(cycle.len(), 3);
    assert_eq!(graph.witness('b', 'a', EN), Some(&2));
    graph.check_invariants();
}

#[test]
fn a_cycle_of_a_thousand_locks_is_found_whatever_end_it_was_learnt_from() {
    for backwards in [false, true] {
        let mut graph = DependencyGraph::new();
        for index in 0..999u32 {
            let outer = if backwards { 998 - index } else { index };
            assert_eq!(graph.insert(outer, outer + 1, EN, ()), Inserted::New);
        }
        let Inserted::Closes(cycle) = graph.insert(999, 0, EN, ()) else { panic!("not found") };
        assert_eq!(cycle.len(), 1000);
        graph.check_invariants();
    }
}
