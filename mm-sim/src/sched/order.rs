//! Who is next: drawn from a seed, or as a schedule or a scheduler says.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use parking_lot::Mutex;
use shuttle::scheduler::{Scheduler, TaskId};

use super::Rng;

/// Where a run departs from running each actor as long as it can: at which point, and who runs from there on.
///
/// Points are counted from 1: every step, and every time that an actor cannot go on. Written `41:1,97:0`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Schedule(BTreeMap<u64, usize>);

impl Schedule {
    /// The same with one more departure.
    #[must_use]
    pub(crate) fn with(&self, point: u64, actor: usize) -> Self {
        let mut departures = self.0.clone();
        departures.insert(point, actor);
        Self(departures)
    }

    /// The schedule of a run that had these choices.
    pub(crate) fn of(choices: &[Choice]) -> Self {
        let departures = choices.iter().filter(|choice| choice.taken != choice.usual);
        Self(departures.map(|choice| (choice.point, choice.taken)).collect())
    }

    /// Returns its departures, in order.
    pub(crate) fn departures(&self) -> Vec<(u64, usize)> {
        self.0.iter().map(|(&point, &actor)| (point, actor)).collect()
    }

    /// Returns the last point at which it departs.
    pub(crate) fn last(&self) -> u64 {
        self.0.last_key_value().map_or(0, |(&point, _)| point)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let departures: Vec<_> = self.0.iter().map(|(point, actor)| format!("{point}:{actor}")).collect();
        f.write_str(&departures.join(","))
    }
}

impl FromIterator<(u64, usize)> for Schedule {
    fn from_iter<T: IntoIterator<Item = (u64, usize)>>(departures: T) -> Self {
        Self(departures.into_iter().collect())
    }
}

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut departures = BTreeMap::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let parsed =
                part.split_once(':').and_then(|(point, actor)| Some((point.parse().ok()?, actor.parse().ok()?)));
            let (point, actor) = parsed.ok_or_else(|| format!("not `POINT:ACTOR`: {part}"))?;
            if departures.insert(point, actor).is_some() {
                return Err(format!("point {point} is there twice"));
            }
        }
        Ok(Self(departures))
    }
}

/// A point at which somebody else could have run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) point: u64,
    /// Whether whoever ran before could not go on.
    pub(crate) forced: bool,
    /// Who would have run without a departure.
    pub(crate) usual: usize,
    /// Who was taken.
    pub(crate) taken: usize,
    /// The others that were ready.
    pub(crate) others: Vec<usize>,
}

/// Who says where a run departs.
#[derive(Clone)]
pub(crate) enum Guide {
    /// A schedule.
    Schedule(Schedule),
    /// A scheduler of shuttle's, which is told of the points at which there is a choice.
    Scheduler(Arc<Mutex<dyn Scheduler + Send>>),
}

impl Guide {
    /// Returns whom it wants to run, if it wants anything.
    fn wants(&self, point: u64, running: usize, ready: &[usize]) -> Option<usize> {
        match self {
            Self::Schedule(schedule) => schedule.0.get(&point).copied(),
            Self::Scheduler(_) if ready.len() == 1 => None,
            Self::Scheduler(scheduler) => {
                let tasks: Vec<TaskId> = ready.iter().map(|&actor| TaskId::from(actor)).collect();
                scheduler.lock().next_task(&tasks, Some(TaskId::from(running)), false).map(usize::from)
            }
        }
    }
}

/// How the next actor is chosen.
pub(crate) enum Order {
    /// Drawn.
    Drawn(Rng),
    /// As a guide says; every choice is noted.
    Guided { guide: Guide, point: u64, choices: Vec<Choice> },
}

impl Order {
    /// As a guide says.
    pub(crate) const fn guided(guide: Guide) -> Self {
        Self::Guided { guide, point: 0, choices: Vec::new() }
    }

    /// Returns who runs first, of `count` actors.
    pub(super) fn first(&mut self, count: usize) -> usize {
        match self {
            Self::Drawn(rng) => rng.below(count.max(1) as u64) as usize,
            Self::Guided { .. } => 0,
        }
    }

    /// Returns whether the running actor simply goes on, without asking who is ready.
    pub(super) fn goes_on(&mut self) -> bool {
        match self {
            // Mostly run on: long stretches of one actor between switches reach more states than a strict shuffle.
            Self::Drawn(rng) => rng.below(4) != 0,
            Self::Guided { .. } => false,
        }
    }

    /// Returns who of the ready runs next; `running` is ready too, or cannot go on.
    pub(super) fn next(&mut self, running: usize, ready: &[usize]) -> usize {
        match self {
            Self::Drawn(rng) => ready[rng.below(ready.len() as u64) as usize],
            Self::Guided { guide, point, choices } => {
                *point += 1;
                let forced = !ready.contains(&running);
                let after = || *ready.iter().find(|&&actor| actor > running).unwrap_or(&ready[0]);
                let usual = if forced { after() } else { running };
                let wanted = guide.wants(*point, running, ready);
                let taken = wanted.filter(|actor| ready.contains(actor)).unwrap_or(usual);
                if ready.len() > 1 {
                    let others = ready.iter().copied().filter(|&actor| actor != taken).collect();
                    choices.push(Choice { point: *point, forced, usual, taken, others });
                }
                taken
            }
        }
    }

    /// Returns the choices that there were.
    pub(super) fn into_choices(self) -> Vec<Choice> {
        match self {
            Self::Drawn(_) => Vec::new(),
            Self::Guided { choices, .. } => choices,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_read_as_it_is_written() {
        let schedule = Schedule::default().with(41, 1).with(97, 0);
        assert_eq!(schedule.to_string(), "41:1,97:0");
        assert_eq!("41:1,97:0".parse(), Ok(schedule));
        assert_eq!("".parse(), Ok(Schedule::default()));
        assert_eq!("41".parse::<Schedule>(), Err("not `POINT:ACTOR`: 41".to_owned()));
        assert_eq!("4:1,4:0".parse::<Schedule>(), Err("point 4 is there twice".to_owned()));
    }

    #[test]
    fn it_departs_where_the_schedule_says_and_only_there() {
        let mut order = Order::guided(Guide::Schedule("2:1".parse().unwrap()));
        assert_eq!(order.first(2), 0);
        assert_eq!([order.next(0, &[0, 1]), order.next(0, &[0, 1]), order.next(1, &[0, 1])], [0, 1, 1]);
        assert_eq!(order.next(1, &[0]), 0, "who cannot go on gives way");
        let choices = order.into_choices();
        let brief: Vec<_> = choices.iter().map(|c| (c.point, c.taken, c.others.clone())).collect();
        assert_eq!(brief, [(1, 0, vec![1]), (2, 1, vec![0]), (3, 1, vec![0])]);
        assert_eq!(Schedule::of(&choices).to_string(), "2:1");
    }
}
