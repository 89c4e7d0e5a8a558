//! Whether an operation's acquisitions contain a documented path.
//!
//! 1. The path's acquisitions come in its order; other locks may come in between.
//! 2. What the path lists as held is held all the time, by the same acquisition.
//! 3. What it lists as released is released before the path's next acquisition. In which order several locks are released
//!    between two acquisitions is left open.
//!
//! A search with memory, and without a limit. Two partial matches up to the same step differ, for what is to come, in three
//! things only: how far the operation is, which acquisitions stand for the locks that the path will have released before it
//! ends (*passing* ones: they must be released at the right moment), and until when those are held that it keeps to its
//! end (*lasting* ones: the longer, the better). So per step and set of passing acquisitions it remembers from where and
//! under which end it has failed; a match that is no earlier and has no more time fails too.
//!
//! Cost: at most (steps of the path) x (sets of passing acquisitions that were held at once) x (acquisitions of the
//! operation). Most locks are held once at a time; of those that are held by the hundred, such as the folios of a huge page,
//! a path has one as a rule.

use std::{cmp::Reverse, collections::BTreeMap, ops::Range};

use rustc_hash::FxHashMap;

use super::{
    documented::{Does, Step},
    recording::Recording,
};
use crate::sync::{Taken, Way};

/// How far an operation follows a path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Followed {
    /// Which steps of the operation are the steps of the path, from its first one on.
    pub(super) at: Vec<usize>,
}

impl Followed {
    /// Returns how many steps of the path that is.
    pub(super) const fn steps(&self) -> usize {
        self.at.len()
    }
}

/// Follows a path through an operation as far as that goes. `is_class` says whether a documented lock is of a class.
pub(super) fn follow(recording: &Recording, path: &[Step], is_class: &impl Fn(&str, &str) -> bool) -> Followed {
    let candidates = path.iter().map(|step| recording.of_classes(|class| is_class(&step.lock, class)));
    let is_kind = |step: &Step, number: &usize| is(step, &recording.holds[*number].taken);
    let candidates = candidates.zip(path);
    let candidates = candidates.map(|(all, step)| all.into_iter().filter(|number| is_kind(step, number)).collect());
    let mut search = Search {
        recording,
        path,
        lasting: lasting(path),
        candidates: candidates.collect(),
        failed: FxHashMap::default(),
        now: Followed::default(),
        best: Followed::default(),
    };
    let _follows = search.go(0, &mut Vec::new());
    search.best
}

/// Returns for each step whether it takes a lock that is kept until nothing else is taken any more.
fn lasting(path: &[Step]) -> Vec<bool> {
    let takes = |step: &Step| !matches!(step.does, Does::Release | Does::Downgrade);
    let last = path.iter().rposition(takes).unwrap_or(0);
    let (mut lasting, mut held) = (vec![false; path.len()], Vec::new());
    for (at, step) in path.iter().enumerate() {
        let of_it = held.iter().rposition(|&held: &usize| path[held].lock == step.lock);
        match step.does {
            Does::Release => {
                if let Some(held_at) = of_it {
                    let taken = held.remove(held_at);
                    lasting[taken] &= at > last;
                }
            }
            Does::Downgrade => {
                if let Some(held_at) = of_it {
                    lasting[held[held_at]] = false;
                }
            }
            Does::Read | Does::Write | Does::Map if step.mark => {}
            Does::Read | Does::Write | Does::Map => {
                lasting[at] = true;
                held.push(at);
            }
        }
    }
    lasting
}

/// An acquisition that stands for a lock that the path holds.
#[derive(Clone, Copy)]
struct Holds {
    /// The step that takes it.
    step: usize,
    /// The acquisition.
    hold: usize,
}

/// Times from which it has failed, each with the end up to which it had time. A later one had time for longer.
#[derive(Default)]
struct Failed(BTreeMap<usize, usize>);

impl Failed {
    /// Returns from where on it is known to fail after a time, if it is known.
    fn known(&self, after: usize, end: usize) -> Option<usize> {
        let before = self.0.range(..=after).next_back();
        before.into_iter().chain(self.0.range(after..)).find(|&(_, &had)| end <= had).map(|(&from, _)| from)
    }

    /// Adds a failure that it has not, and drops those that say less.
    fn add(&mut self, after: usize, end: usize) {
        let less: Vec<_> = self.0.range(after..).take_while(|&(_, &had)| had <= end).map(|(&from, _)| from).collect();
        less.iter().for_each(|from| {
            self.0.remove(from);
        });
        self.0.insert(after, end);
    }
}

struct Search<'a> {
    recording: &'a Recording,
    path: &'a [Step],
    lasting: Vec<bool>,
    /// The acquisitions that may stand for each step.
    candidates: Vec<Vec<usize>>,
    /// What has been tried in vain, by step and passing acquisitions: after which time, and until when all else is held.
    failed: FxHashMap<(usize, Vec<usize>), Failed>,
    now: Followed,
    best: Followed,
}

impl Search<'_> {
    /// Follows the path after a time, with the acquisitions that stand for what is held.
    fn go(&mut self, after: usize, held: &mut Vec<Holds>) -> bool {
        if self.now.steps() > self.best.steps() {
            self.best = self.now.clone();
        }
        let step = self.now.steps();
        let Some(wanted) = self.path.get(step) else { return true };
        let (lasting, passing): (Vec<Holds>, Vec<Holds>) = held.iter().partition(|held| self.lasting[held.step]);
        let key = (step, passing.iter().map(|held| held.hold).collect());
        let end = self.end(&lasting);
        let known = self.failed.get(&key).and_then(|failed| failed.known(after, end)).unwrap_or(usize::MAX);
        if known <= after {
            return false;
        }
        let follows = match wanted.does {
            Does::Release => self.release(wanted, after, held),
            Does::Downgrade => self.downgrade(wanted, after, held),
            Does::Read | Does::Write | Does::Map => self.take(step, after..known, held),
        };
        if !follows {
            self.failed.entry(key).or_default().add(after, end);
        }
        follows
    }

    /// Returns when the first of some acquisitions ends.
    fn end(&self, held: &[Holds]) -> usize {
        held.iter().map(|held| self.recording.holds[held.hold].released).min().unwrap_or(usize::MAX)
    }

    /// Follows the path after the step that is `at` in the operation.
    fn go_on(&mut self, at: usize, after: usize, held: &mut Vec<Holds>) -> bool {
        self.now.at.push(at);
        let follows = self.go(after, held);
        self.now.at.pop();
        follows
    }

    fn last_held(&self, lock: &str, held: &[Holds]) -> Option<usize> {
        held.iter().rposition(|held| self.path[held.step].lock == lock)
    }

    fn release(&mut self, wanted: &Step, after: usize, held: &mut Vec<Holds>) -> bool {
        let Some(last) = self.last_held(&wanted.lock, held) else { return false };
        let released = held.remove(last);
        let at = self.recording.holds[released.hold].released;
        let follows = self.go_on(at, after.max(at), held);
        held.insert(last, released);
        follows
    }

    fn downgrade(&mut self, wanted: &Step, after: usize, held: &mut Vec<Holds>) -> bool {
        let hold = self.last_held(&wanted.lock, held).map(|last| &self.recording.holds[held[last].hold]);
        match hold.and_then(|hold| hold.downgraded).filter(|&downgraded| downgraded >= after) {
            Some(downgraded) => self.go_on(downgraded, downgraded, held),
            None => false,
        }
    }

    /// Takes what the step takes within some time, which ends where it is known to fail.
    fn take(&mut self, step: usize, time: Range<usize>, held: &mut Vec<Holds>) -> bool {
        let (recording, until) = (self.recording, self.end(held));
        let at = |hold: usize| recording.holds[hold].at;
        let from = self.candidates[step].partition_point(|&hold| at(hold) < time.start);
        let to = self.candidates[step].partition_point(|&hold| at(hold) <= until && at(hold) < time.end);
        let mut within = self.candidates[step].get(from..to).unwrap_or_default().to_vec();
        // From the last one on, so that what is tried next ends where it is known to fail; and of the lasting ones from the
        // longest on, because whoever fails with that leaves nothing for the others to try.
        let is_lasting = self.lasting[step];
        within.sort_by_key(|&hold| Reverse((is_lasting.then_some(recording.holds[hold].released), hold)));
        for hold in within {
            let keeps = !self.path[step].mark;
            if keeps {
                held.push(Holds { step, hold });
            }
            let follows = self.go_on(at(hold), at(hold) + 1, held);
            if keeps {
                held.pop();
            }
            if follows {
                return true;
            }
        }
        false
    }
}

/// Returns whether an acquisition is of the documented kind.
fn is(wanted: &Step, taken: &Taken) -> bool {
    let way = match wanted.does {
        Does::Read => taken.way == Way::Read,
        Does::Write => taken.way == Way::Write,
        Does::Map => taken.way == Way::Map,
        Does::Release | Does::Downgrade => false,
    };
    // What does not wait needs no level, and neither does the folio lock, which the kernel's lockdep does not see.
    let waits = wanted.does == Does::Map || wanted.tries == taken.tries || (wanted.given && taken.tries);
    let level = wanted.mark || wanted.tries || wanted.lock.ends_with("folio_lock") || wanted.level == taken.level;
    way && level && waits && wanted.under == taken.under
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        paths::documented::parse,
        sync::{self, Step as Did},
    };

    fn take_of(owner: u64, class: &'static str, way: Way) -> Did {
        let lock = (class, "test", owner);
        Did::Take(Taken { lock, way, tries: false, level: 0, under: false })
    }

    fn release_of(owner: u64, class: &'static str) -> Did {
        Did::Release((class, "test", owner))
    }

    fn take(class: &'static str, way: Way) -> Did {
        take_of(0, class, way)
    }

    fn release(class: &'static str) -> Did {
        release_of(0, class)
    }

    fn follow_all(recorded: &[sync::Step], path: &str) -> (Followed, Vec<Step>) {
        let paths = parse("test", &format!("path @ kernel\n {path}\n")).unwrap();
        let steps = paths[0].steps.clone();
        (follow(&Recording::new(recorded), &steps, &|lock, class| lock == class), steps)
    }

    /// Returns the first step of the path that the recorded ones do not follow.
    fn misses(recorded: &[sync::Step], path: &str) -> Option<String> {
        let (followed, steps) = follow_all(recorded, path);
        steps.get(followed.steps()).map(|step| step.text.clone())
    }

    #[test]
    fn acquisitions_come_in_order_and_others_may_come_between() {
        let recorded = [take("a", Way::Read), take("x", Way::Write), take("b", Way::Write)];
        assert_eq!(misses(&recorded, "a:read b:write"), None);
        assert_eq!(follow_all(&recorded, "a:read b:write").0.at, [0, 2]);
        assert_eq!(misses(&recorded, "b:write a:read").as_deref(), Some("a:read"));
        assert_eq!(misses(&recorded, "a:write").as_deref(), Some("a:write"), "another mode");
        assert_eq!(misses(&recorded, "a:read!try").as_deref(), Some("a:read!try"), "it waits");
        assert_eq!(misses(&recorded, "a:read!nested=1").as_deref(), Some("a:read!nested=1"), "another level");
    }

    #[test]
    fn what_is_listed_as_held_is_held_and_what_is_listed_as_released_is_released() {
        let apart = [take("a", Way::Read), release("a"), take("b", Way::Write)];
        assert_eq!(misses(&apart, "a:read b:write").as_deref(), Some("b:write"), "a is not held any more");
        assert_eq!(misses(&apart, "a:read a:release b:write"), None);
        let nested = [take("a", Way::Read), take("b", Way::Write), release("a"), release("b")];
        assert_eq!(misses(&nested, "a:read a:release b:write").as_deref(), Some("b:write"), "a is still held");
        assert_eq!(misses(&nested, "a:read b:write b:release a:release"), None, "the order of releases is open");
    }

    #[test]
    fn a_later_acquisition_stands_in_if_the_first_one_does_not_lead_on() {
        let recorded = [take("a", Way::Read), release("a"), take("a", Way::Read), take("b", Way::Write)];
        assert_eq!(misses(&recorded, "a:read b:write"), None);
    }

    #[test]
    fn a_downgrade_comes_while_the_lock_is_held() {
        let recorded = [take("a", Way::Write), Did::Downgrade(("a", "test", 0)), take("b", Way::Write)];
        assert_eq!(misses(&recorded, "a:write a:downgrade b:write"), None);
        assert_eq!(misses(&recorded, "a:write b:write a:downgrade").as_deref(), Some("a:downgrade"));
    }

    /// Thousands of acquisitions, any of which may stand for any of the path's: it ends, and finds the only way.
    #[test]
    fn a_long_operation_needs_no_limit() {
        let pair = |owner: u64| [take_of(owner, "a", Way::Read), release_of(owner, "a")];
        let mut recorded: Vec<_> = (0..3000).flat_map(pair).collect();
        let path = "a:read a:release a:read a:release a:read a:release a:read b:write";
        assert_eq!(misses(&recorded, path).as_deref(), Some("b:write"));
        recorded.extend([take("a", Way::Read), take("b", Way::Write)]);
        assert_eq!(misses(&recorded, path), None);
    }

    /// Hundreds of locks of one class at once, several of which the path has.
    #[test]
    fn many_locks_at_once_need_no_limit() {
        let mut recorded: Vec<_> = (0..400).map(|owner| take_of(owner, "a", Way::Write)).collect();
        let path = "a:write a:write a:write a:write b:read a:release a:release a:release a:release";
        assert_eq!(misses(&recorded, path).as_deref(), Some("b:read"));
        recorded.extend((0..397).map(|owner| release_of(owner, "a")));
        recorded.push(take("b", Way::Read));
        assert_eq!(misses(&recorded, path).as_deref(), Some("b:read"), "three are held then");
        recorded.insert(400 + 396, take("b", Way::Read));
        assert_eq!(misses(&recorded, path), None);
    }
}
