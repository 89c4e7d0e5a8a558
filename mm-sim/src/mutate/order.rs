//! The order of locks: what is waited for under what, as lockdep has learnt it, and what is declared.

use std::collections::{BTreeMap, BTreeSet};

use lockdep::Journal;
use lockdep_audit::{Aliases, Document, Observation, Verdict, audit};

const DECLARED: &str = include_str!("../../lockdep.order");
const DECLARED_FILE: &str = "mm-sim/lockdep.order";

/// How something was held (`E`, `S`) and how the next was waited for (`N`, `R`), as reports write it.
type Kind = String;

/// A dependency: what was held, what was waited for, and how.
type Dependency = (String, String, Kind);

/// Everything that is waited for while something is held, pseudo locks included. A trylock waits for nothing.
#[derive(Default)]
pub(super) struct Order(BTreeMap<String, BTreeSet<(String, Kind)>>);

impl Order {
    /// Adds what a run has taught.
    pub(super) fn learn(&mut self, journal: &Journal) {
        for (outer, inner, kind) in dependencies(journal) {
            self.0.entry(outer).or_default().insert((inner, kind));
        }
    }

    /// Returns a dependency that another order has and this one has not, not even by way of other locks.
    pub(super) fn lacks<'o>(&self, other: &'o Self) -> Option<(&'o str, &'o str)> {
        let all =
            other.0.iter().flat_map(|(outer, inners)| inners.iter().map(move |(inner, kind)| (outer, inner, kind)));
        all.into_iter()
            .find(|(outer, inner, kind)| !self.has(outer, inner, kind))
            .map(|(o, i, _)| (o.as_str(), i.as_str()))
    }

    /// Returns whether the other order has something the other way around, whatever the modes.
    pub(super) fn is_reversed_by(&self, other: &Self) -> bool {
        let all = other.0.iter().flat_map(|(outer, inners)| inners.iter().map(move |(inner, _)| (outer, inner)));
        all.into_iter().any(|(outer, inner)| self.leads(inner, outer))
    }

    fn leads(&self, from: &str, to: &str) -> bool {
        let (mut seen, mut queue) = (BTreeSet::from([from]), vec![from]);
        while let Some(class) = queue.pop() {
            for (next, _) in self.0.get(class).into_iter().flatten() {
                if next == to {
                    return true;
                }
                if seen.insert(next) {
                    queue.push(next);
                }
            }
        }
        false
    }

    /// Returns whether `outer`, held so, comes before `inner`, waited for so, along dependencies that can all block.
    fn has(&self, outer: &str, inner: &str, kind: &str) -> bool {
        let next = |outer: &str| self.0.get(outer).into_iter().flatten();
        let mut seen: BTreeSet<&(String, Kind)> = BTreeSet::new();
        let mut queue: Vec<&(String, Kind)> = next(outer).filter(|(_, first)| first[..1] == kind[..1]).collect();
        while let Some(step) = queue.pop() {
            let (class, last) = step;
            if class == inner && last[1..] == kind[1..] {
                return true;
            }
            if seen.insert(step) {
                // A shared holder does not block a recursive reader.
                queue.extend(next(class).filter(|(_, after)| after.starts_with('E') || !last.ends_with('R')));
            }
        }
        false
    }
}

fn dependencies(journal: &Journal) -> impl Iterator<Item = Dependency> {
    let names: BTreeMap<u32, &str> = journal.classes.iter().map(|class| (class.id, class.name.as_str())).collect();
    let name = move |id: u32| names.get(&id).map_or_else(|| id.to_string(), |name| (*name).to_owned());
    journal.dependencies.iter().map(move |record| (name(record.outer), name(record.inner), record.kind.to_string()))
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

    fn order(dependencies: &[(&str, &str, &str)]) -> Order {
        let mut order = Order::default();
        for &(outer, inner, kind) in dependencies {
            order.0.entry(outer.to_owned()).or_default().insert((inner.to_owned(), kind.to_owned()));
        }
        order
    }

    #[test]
    fn an_order_is_there_directly_or_along_what_can_block() {
        let known = order(&[("a", "b", "EN"), ("b", "c", "SN"), ("c", "d", "SR"), ("d", "e", "SN")]);
        assert_eq!(known.lacks(&order(&[("a", "c", "EN"), ("c", "d", "SR")])), None);
        assert_eq!(
            known.lacks(&order(&[("a", "c", "SN")])),
            Some(("a", "c")),
            "the first is only ever held exclusively"
        );
        assert_eq!(
            known.lacks(&order(&[("c", "e", "SN")])),
            Some(("c", "e")),
            "a shared holder does not block a reader"
        );
        assert_eq!(known.lacks(&order(&[("b", "a", "EN")])), Some(("b", "a")));
    }
}
