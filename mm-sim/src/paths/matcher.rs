//! Whether an actor's acquisitions contain a documented path.
//!
//! The path's acquisitions must come in its order, other locks may come in between. What the path lists as held must be
//! held all the time, by the same acquisition; what it lists as released must be released before the path's next
//! acquisition. In which order several locks are released between two acquisitions is left open.

use std::collections::HashSet;

use super::documented::{Does, Step};
use crate::sync::{self, Taken, Way};

/// How much is tried for one operation before it is given up: an operation that follows a path does so within a few.
const STATES: usize = 2000;

/// An acquisition of an actor, and when it ended.
#[derive(Clone, Debug)]
struct Hold {
    taken: Taken,
    at: usize,
    downgraded: Option<usize>,
    /// One after the end, if it is still held then.
    released: usize,
}

/// The acquisitions of one operation.
pub(super) struct Recording {
    holds: Vec<Hold>,
}

impl Recording {
    /// Finds out when each acquisition ends.
    pub(super) fn new(steps: &[sync::Step]) -> Self {
        let mut holds: Vec<Hold> = Vec::new();
        let end = steps.len();
        for (at, step) in steps.iter().enumerate() {
            match step {
                sync::Step::Take(taken) => holds.push(Hold { taken: *taken, at, downgraded: None, released: end }),
                sync::Step::Release(lock) => {
                    if let Some(hold) = holds.iter_mut().rfind(|hold| hold.taken.lock == *lock && hold.released == end)
                    {
                        hold.released = at;
                    }
                }
                sync::Step::Downgrade(lock) => {
                    if let Some(hold) = holds.iter_mut().rfind(|hold| hold.taken.lock == *lock && hold.released == end)
                    {
                        hold.downgraded = Some(at);
                    }
                }
                sync::Step::Enter(_) | sync::Step::Leave => {}
            }
        }
        Self { holds }
    }

    /// Returns how many steps of the path it contains, from its first one on.
    pub(super) fn follows(&self, path: &[Step], classes: &impl Fn(&str, &str) -> bool) -> usize {
        let mut search = Search { holds: &self.holds, path, classes, failed: HashSet::new(), furthest: 0 };
        search.go(0, 0, &mut Vec::new());
        search.furthest
    }
}

struct Search<'a, F> {
    holds: &'a [Hold],
    path: &'a [Step],
    classes: &'a F,
    /// What has been tried in vain: the step, the time, and what was held.
    failed: HashSet<(usize, usize, Vec<usize>)>,
    furthest: usize,
}

impl<F: Fn(&str, &str) -> bool> Search<'_, F> {
    /// Follows the path from a step on, after a time, with the acquisitions that stand for what is held.
    fn go(&mut self, step: usize, after: usize, held: &mut Vec<usize>) -> bool {
        self.furthest = self.furthest.max(step);
        let Some(wanted) = self.path.get(step) else { return true };
        let state = (step, after, held.clone());
        if self.failed.len() >= STATES || self.failed.contains(&state) {
            return false;
        }
        let follows = match wanted.does {
            Does::Release => self.release(step, after, held),
            Does::Downgrade => self.downgrade(step, after, held),
            Does::Read | Does::Write | Does::Map => self.take(step, after, held),
        };
        if !follows {
            self.failed.insert(state);
        }
        follows
    }

    fn last_held(&self, step: usize, held: &[usize]) -> Option<usize> {
        let lock = &self.path[step].lock;
        held.iter().rposition(|&hold| (self.classes)(lock, self.holds[hold].taken.lock.0))
    }

    fn release(&mut self, step: usize, after: usize, held: &mut Vec<usize>) -> bool {
        let Some(at) = self.last_held(step, held) else { return false };
        let hold = held.remove(at);
        let follows = self.go(step + 1, after.max(self.holds[hold].released), held);
        held.insert(at, hold);
        follows
    }

    fn downgrade(&mut self, step: usize, after: usize, held: &mut Vec<usize>) -> bool {
        let Some(at) = self.last_held(step, held) else { return false };
        let Some(downgraded) = self.holds[held[at]].downgraded.filter(|&downgraded| downgraded >= after) else {
            return false;
        };
        self.go(step + 1, downgraded, held)
    }

    fn take(&mut self, step: usize, after: usize, held: &mut Vec<usize>) -> bool {
        let wanted = &self.path[step];
        let until = held.iter().map(|&hold| self.holds[hold].released).min().unwrap_or(usize::MAX);
        let first = self.holds.partition_point(|hold| hold.at < after);
        for at in first..self.holds.len() {
            let hold = &self.holds[at];
            if hold.at > until {
                return false;
            }
            if !(is(wanted, &hold.taken) && (self.classes)(&wanted.lock, hold.taken.lock.0)) {
                continue;
            }
            let next = hold.at + 1;
            let keeps = !wanted.mark;
            if keeps {
                held.push(at);
            }
            let follows = self.go(step + 1, next, held);
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
    use crate::paths::documented::parse;

    fn take(class: &'static str, way: Way) -> sync::Step {
        sync::Step::Take(Taken { lock: sync::unowned(class), way, tries: false, level: 0, under: false })
    }

    fn release(class: &'static str) -> sync::Step {
        sync::Step::Release(sync::unowned(class))
    }

    fn follows(recorded: &[sync::Step], path: &str) -> Option<String> {
        let paths = parse(&format!("path @ kernel\n {path}\n")).unwrap();
        let steps = Recording::new(recorded).follows(&paths[0].steps, &|lock, class| lock == class);
        paths[0].steps.get(steps).map(|step| step.text.clone())
    }

    #[test]
    fn acquisitions_come_in_order_and_others_may_come_between() {
        let recorded = [take("a", Way::Read), take("x", Way::Write), take("b", Way::Write)];
        assert_eq!(follows(&recorded, "a:read b:write"), None);
        assert_eq!(follows(&recorded, "b:write a:read").as_deref(), Some("a:read"));
        assert_eq!(follows(&recorded, "a:write").as_deref(), Some("a:write"), "another mode");
        assert_eq!(follows(&recorded, "a:read!try").as_deref(), Some("a:read!try"), "it waits");
        assert_eq!(follows(&recorded, "a:read!nested=1").as_deref(), Some("a:read!nested=1"), "another level");
    }

    #[test]
    fn what_is_listed_as_held_is_held_and_what_is_listed_as_released_is_released() {
        let apart = [take("a", Way::Read), release("a"), take("b", Way::Write)];
        assert_eq!(follows(&apart, "a:read b:write").as_deref(), Some("b:write"), "a is not held any more");
        assert_eq!(follows(&apart, "a:read a:release b:write"), None);
        let nested = [take("a", Way::Read), take("b", Way::Write), release("a"), release("b")];
        assert_eq!(follows(&nested, "a:read a:release b:write").as_deref(), Some("b:write"), "a is still held");
        assert_eq!(follows(&nested, "a:read b:write b:release a:release"), None, "the order of releases is open");
    }

    #[test]
    fn a_later_acquisition_stands_in_if_the_first_one_does_not_lead_on() {
        let recorded = [take("a", Way::Read), release("a"), take("a", Way::Read), take("b", Way::Write)];
        assert_eq!(follows(&recorded, "a:read b:write"), None);
    }

    #[test]
    fn a_downgrade_comes_while_the_lock_is_held() {
        let recorded = [take("a", Way::Write), sync::Step::Downgrade(sync::unowned("a")), take("b", Way::Write)];
        assert_eq!(follows(&recorded, "a:write a:downgrade b:write"), None);
        assert_eq!(follows(&recorded, "a:write b:write a:downgrade").as_deref(), Some("a:downgrade"));
    }
}
