//! The acquisitions of one operation, each from its beginning to its end.

use std::collections::BTreeMap;

use crate::sync::{Step, Taken};

/// An acquisition of an actor, and when it ended.
#[derive(Clone, Debug)]
pub(super) struct Hold {
    /// The lock, and how it was taken.
    pub(super) taken: Taken,
    /// Which step of the operation it is.
    pub(super) at: usize,
    /// The step that makes a reader of the writer.
    pub(super) downgraded: Option<usize>,
    /// The step that releases it; the number of steps if it is still held then.
    pub(super) released: usize,
}

/// The acquisitions of one operation, in their order.
#[derive(Debug)]
pub(super) struct Recording {
    /// All of them.
    pub(super) holds: Vec<Hold>,
    /// Which of them are of a class.
    by_class: BTreeMap<&'static str, Vec<usize>>,
}

impl Recording {
    /// Finds out when each acquisition ends. A release ends the last acquisition of its lock that has not ended.
    pub(super) fn new(steps: &[Step]) -> Self {
        let (end, mut holds) = (steps.len(), Vec::<Hold>::new());
        let mut open: Vec<usize> = Vec::new();
        for (at, step) in steps.iter().enumerate() {
            match step {
                Step::Take(taken) => {
                    open.push(holds.len());
                    holds.push(Hold { taken: *taken, at, downgraded: None, released: end });
                }
                Step::Release(lock) => {
                    if let Some(last) = open.iter().rposition(|&hold| holds[hold].taken.lock == *lock) {
                        holds[open.remove(last)].released = at;
                    }
                }
                Step::Downgrade(lock) => {
                    if let Some(&hold) = open.iter().rfind(|&&hold| holds[hold].taken.lock == *lock) {
                        holds[hold].downgraded = Some(at);
                    }
                }
                Step::Enter(_) | Step::Leave => {}
            }
        }
        let mut by_class: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (number, hold) in holds.iter().enumerate() {
            by_class.entry(hold.taken.lock.0).or_default().push(number);
        }
        Self { holds, by_class }
    }

    /// Returns the acquisitions of locks of some classes, in their order.
    pub(super) fn of_classes(&self, is_one: impl Fn(&str) -> bool) -> Vec<usize> {
        let classes = self.by_class.iter().filter(|(class, _)| is_one(class));
        let mut all: Vec<_> = classes.flat_map(|(_, numbers)| numbers).copied().collect();
        all.sort_unstable();
        all
    }
}
