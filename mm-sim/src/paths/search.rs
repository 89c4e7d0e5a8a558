//! A path under a protocol, while it is looked for.

use std::collections::BTreeSet;

use super::{
    documented::Step,
    matcher::{self, Followed},
    nearest::{Nearest, Seen},
    operation::Operation,
    places::{Place, Places, Scope},
    recording::Recording,
    table::{Row, Verdict},
};
use crate::sync;

/// The operation that came furthest so far.
struct Furthest {
    seen: Seen,
    steps: Vec<sync::Step>,
    followed: Followed,
}

/// A path of some kernels under a protocol that stands for them, if there is one.
pub(super) struct Wanted<'a> {
    pub(super) path: &'a str,
    pub(super) kernel: &'a str,
    pub(super) protocol: Option<&'a str>,
    /// The steps of locks that the simulator has.
    pub(super) steps: Vec<Step>,
    /// The other locks.
    pub(super) without: Vec<String>,
    /// The operations that take it.
    pub(super) place: Option<&'a Place>,
}

/// A row that is being looked for.
pub(super) struct Search<'a> {
    wanted: Wanted<'a>,
    /// The line of the table that excepts it, and why.
    exception: Option<(&'a str, &'a str)>,
    places: &'a Places,
    furthest: Option<Furthest>,
    /// Which of the operations that take it some run has entered.
    entered: BTreeSet<usize>,
}

/// What has to be run for a row: a bug of the catalogue, or the scenarios of a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Runs<'a> {
    /// Nothing: no protocol stands for the kernel.
    Nothing,
    /// The scenarios under a protocol.
    Protocol(&'a str),
    /// The buggy run of a pair.
    Pair(&'a str),
}

impl<'a> Search<'a> {
    /// A row that nothing has been found of yet.
    pub(super) fn new(wanted: Wanted<'a>, places: &'a Places) -> Self {
        let exception = places.exception(wanted.path, wanted.kernel, wanted.protocol);
        Self { wanted, exception, places, furthest: None, entered: BTreeSet::new() }
    }

    pub(super) const fn path(&self) -> &str {
        self.wanted.path
    }

    pub(super) const fn protocol(&self) -> Option<&str> {
        self.wanted.protocol
    }

    /// Returns the name of its exception.
    pub(super) fn exception(&self) -> Option<&'a str> {
        self.exception.map(|(name, _)| name)
    }

    /// Returns whether there are runs, but no operation to look for it in.
    pub(super) const fn is_hidden(&self) -> bool {
        self.wanted.protocol.is_some() && self.wanted.place.is_none()
    }

    /// Returns whether it is looked for in operations of this name.
    pub(super) fn is_in(&self, operation: &str) -> bool {
        let is_outer = |scope: &Scope| scope.first().is_some_and(|outer| outer == operation);
        self.wanted.place.is_some_and(|place| place.scopes.iter().any(is_outer))
    }

    /// Returns which of the operations that take it some run has entered, if this is where it is looked for.
    pub(super) fn entered(&self, place: &Place) -> impl Iterator<Item = usize> {
        let is_here = self.wanted.place.is_some_and(|its| std::ptr::eq(its, place));
        self.entered.iter().copied().filter(move |_| is_here)
    }

    /// Returns what has to be run for it.
    pub(super) fn runs(&self) -> Runs<'a> {
        match (self.wanted.place.and_then(|place| place.pair.as_deref()), self.wanted.protocol) {
            (Some(pair), _) => Runs::Pair(pair),
            (None, Some(protocol)) => Runs::Protocol(protocol),
            (None, None) => Runs::Nothing,
        }
    }

    pub(super) fn is_found(&self) -> bool {
        self.furthest.as_ref().is_some_and(|furthest| furthest.followed.steps() == self.wanted.steps.len())
    }

    /// Looks for the path in an operation, if that is one of those that take it.
    pub(super) fn look(&mut self, operation: &Operation<'_>, recording: &mut Option<Recording>) {
        let Some(place) = self.wanted.place else { return };
        let entered: Vec<_> = (0..).zip(&place.scopes).filter(|(_, scope)| operation.is(scope)).collect();
        self.entered.extend(entered.iter().map(|(at, _)| at));
        if self.is_found() || entered.is_empty() {
            return;
        }
        let recording = recording.get_or_insert_with(|| Recording::new(operation.steps));
        let followed = matcher::follow(recording, &self.wanted.steps, &|lock, class| self.places.is_class(lock, class));
        let is_further = self.furthest.as_ref().is_none_or(|furthest| {
            let (now, then) = (followed.steps(), furthest.followed.steps());
            now > then || (now == then && operation.steps.len() < furthest.steps.len())
        });
        if is_further {
            let steps = operation.steps.to_vec();
            self.furthest = Some(Furthest { seen: operation.seen.clone(), steps, followed });
        }
    }

    /// Returns why the exception is not needed, if that is so.
    pub(super) fn stale(&self) -> Option<String> {
        let (name, _) = self.exception?;
        if self.is_found() {
            return Some(format!("except {name}: it is covered"));
        }
        let is_lost = self.wanted.protocol.is_some() && self.furthest.is_none();
        is_lost.then(|| format!("except {name}: no run enters an operation in which it could be seen"))
    }

    /// Returns what came of it.
    pub(super) fn finish(self, is_strict: bool) -> Row {
        let is_found = self.is_found();
        let verdict = match (self.furthest, self.exception) {
            (Some(furthest), _) if is_found => Verdict::Covered { seen: furthest.seen },
            (_, Some((_, why))) if !is_strict => Verdict::Excepted { why: why.to_owned() },
            (furthest, _) => {
                let followed = furthest.as_ref().map_or(0, |furthest| furthest.followed.steps());
                let step = self.wanted.steps.get(followed).map_or_else(String::new, |step| step.text.clone());
                let nearest = furthest.map(|far| Nearest::new(far.seen, &far.steps, &far.followed, self.places));
                Verdict::Missing { step, followed, nearest }
            }
        };
        let Wanted { path, kernel, protocol, steps, without, .. } = self.wanted;
        Row {
            path: path.to_owned(),
            kernel: kernel.to_owned(),
            protocol: protocol.map(str::to_owned),
            steps: steps.len(),
            without,
            verdict,
        }
    }
}
