//! The order of locks: what waits for what in the workload without mutations, and what is declared.

use std::collections::{BTreeMap, BTreeSet};

use lockdep::Journal;
use lockdep_audit::{Aliases, Document, Observation, Verdict, audit};

use crate::sync::{Note, Side};

const DECLARED: &str = include_str!("../../lockdep.order");
const DECLARED_FILE: &str = "mm-sim/lockdep.order";

/// What is held when something is waited for.
pub(super) struct Order(BTreeMap<Side, BTreeSet<Side>>);

impl Order {
    /// The order of all acquisitions that wait.
    pub(super) fn of<'n>(notes: impl Iterator<Item = &'n Note>) -> Self {
        let mut order: BTreeMap<Side, BTreeSet<Side>> = BTreeMap::new();
        for note in notes.filter(|note| !note.tries) {
            for outer in &note.outer {
                order.entry(*outer).or_default().insert((note.class, note.is_exclusive));
            }
        }
        Self(order)
    }

    /// Returns whether, with `outer` held, `inner` is waited for already: in a mode that waits for as much, by who holds
    /// as much, directly or by way of other locks.
    pub(super) fn has(&self, outer: Side, inner: Side) -> bool {
        let as_much = |(class, exclusive): Side, than: Side| class == than.0 && exclusive >= than.1;
        let mut seen: BTreeSet<Side> = self.0.keys().copied().filter(|&start| as_much(start, outer)).collect();
        let mut queue: Vec<Side> = seen.iter().copied().collect();
        while let Some(side) = queue.pop() {
            for &next in self.0.get(&side).into_iter().flatten() {
                if as_much(next, inner) {
                    return true;
                }
                // Whoever holds what somebody waits for may hold more.
                let holders = self.0.keys().copied().filter(|held| held.0 == next.0);
                queue.extend(holders.filter(|holder| seen.insert(*holder)));
            }
        }
        false
    }
}

/// Returns the declared rules that a journal contradicts.
pub(super) fn contradicted(journal: &Journal) -> Result<BTreeSet<String>, String> {
    let document = Document::parse(DECLARED_FILE, DECLARED.as_bytes()).map_err(|error| error.to_string())?;
    let observed = Observation::from_journal("mm-sim", journal);
    let audit = audit(&[document], &[observed], &Aliases::builtin());
    let rules = audit.documents.iter().flat_map(|document| document.with_verdict(Verdict::Contradicted));
    Ok(rules.map(|rule| format!("{} -> {}", rule.before, rule.after)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(outer: Side, inner: Side, tries: bool) -> Note {
        Note { class: inner.0, is_exclusive: inner.1, tries, outer: [outer].into(), ..Note::default() }
    }

    #[test]
    fn an_order_is_there_in_modes_that_wait_for_as_much() {
        let notes = [
            note(("a", true), ("b", false), false),
            note(("b", true), ("c", true), false),
            note(("c", true), ("d", true), true),
        ];
        let order = Order::of(notes.iter());
        assert!(order.has(("a", true), ("b", false)) && order.has(("a", false), ("b", false)));
        assert!(!order.has(("a", true), ("b", true)), "a writer waits for more");
        assert!(order.has(("a", true), ("c", true)), "by way of b");
        assert!(!order.has(("c", true), ("d", true)), "who tries does not wait");
        assert!(!order.has(("b", true), ("a", true)));
    }
}
