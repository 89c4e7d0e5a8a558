//! What a run without mutations teaches about its acquisitions: which of them a mutation could change anything at.
//!
//! For each place: the function, whether another lock is taken before it is released, and whether it
//! *excludes* anybody. It does if another actor of the same round of the scheduler acquires the same lock in a mode that
//! conflicts, and no other lock (a *gate*) is held around both acquisitions, in modes that conflict too. It does as well if
//! somebody has to wait there, or is refused.
//!
//! That there was a gate whenever two met in some runs says nothing of those who have not met. So a note also has the *ways*
//! in which a lock is held, in all runs: only if each way of a place has a gate against each way of all places of the class,
//! does leaving the lock out change no exclusion.

use std::{
    backtrace::Backtrace,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
};

use parking_lot::Mutex;

use super::{id::LockId, mutation::Place, state::Want};
use crate::sched::ActorId;

/// What is known of a place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Note {
    /// The class of the lock.
    pub(crate) class: &'static str,
    /// Whether it only tries.
    pub(crate) tries: bool,
    /// The name of the function.
    pub(crate) function: String,
    /// Whether another lock is acquired before this one is released.
    pub(crate) has_next: bool,
    /// Whether another actor wants the same lock at the same time.
    pub(crate) meets: bool,
    /// Whether it excludes somebody whom nothing else excludes.
    pub(crate) excludes: bool,
    /// What else excludes those whom it meets.
    pub(crate) gates: BTreeSet<&'static str>,
    /// The ways in which it is held.
    ways: BTreeSet<Way>,
}

impl Note {
    fn new(class: &'static str, place: Place, tries: bool) -> Self {
        Self { class, tries, function: function_at(place).unwrap_or_default(), ..Self::default() }
    }

    /// Adds what another run has taught.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.has_next |= other.has_next;
        self.meets |= other.meets;
        self.excludes |= other.excludes;
        self.gates.extend(&other.gates);
        self.ways.extend(other.ways.iter().cloned());
    }

    /// Returns whether the two are held somewhere, maybe in different runs, in ways that no gate keeps apart.
    pub(crate) fn may_exclude(&self, other: &Self) -> bool {
        let is_open = |way: &Way| other.ways.iter().any(|theirs| way.may_exclude(theirs));
        self.class == other.class && self.ways.iter().any(is_open)
    }
}

/// How a lock is held: in which mode, and the classes of the locks that are held all the time, exclusively or not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    is_exclusive: bool,
    gates: BTreeSet<(&'static str, bool)>,
}

impl Way {
    /// Returns whether two cannot hold one lock so, for no other reason that the classes would tell.
    fn may_exclude(&self, other: &Self) -> bool {
        let keeps = |&(class, exclusive): &(&'static str, bool)| {
            other.gates.contains(&(class, true)) || exclusive && other.gates.contains(&(class, false))
        };
        (self.is_exclusive || other.is_exclusive) && !self.gates.iter().any(keeps)
    }
}

/// A lock that an actor holds.
struct Held {
    id: LockId,
    place: Place,
    /// The mode now, and the strongest one so far.
    is_exclusive: bool,
    was_exclusive: bool,
}

/// A hold that has ended, with the locks that were held all the time.
#[derive(PartialEq, Eq, Hash)]
struct Hold {
    place: Place,
    is_exclusive: bool,
    actor: ActorId,
    gates: Vec<(LockId, bool)>,
}

impl Hold {
    /// Returns whether the two cannot both have the lock.
    fn meets(&self, other: &Self) -> bool {
        self.actor != other.actor && (self.is_exclusive || other.is_exclusive)
    }

    /// Returns the class of another lock that keeps the two apart.
    fn gate(&self, other: &Self) -> Option<&'static str> {
        let keeps = |(id, exclusive): &&(LockId, bool)| {
            other.gates.iter().any(|(theirs, exclusively)| theirs == id && (*exclusive || *exclusively))
        };
        self.gates.iter().find(keeps).map(|(id, _)| id.0)
    }
}

#[derive(Default)]
struct Inner {
    notes: BTreeMap<Place, Note>,
    held: HashMap<ActorId, Vec<Held>>,
    holds: BTreeMap<LockId, HashSet<Hold>>,
}

/// The notes of one run.
#[derive(Default)]
pub(crate) struct Survey(Mutex<Inner>);

impl Survey {
    /// Notes that an actor has a lock now.
    pub(super) fn acquired(&self, me: ActorId, id: LockId, place: Place, want: Want, tries: bool) {
        let Inner { notes, held, .. } = &mut *self.0.lock();
        let held = held.entry(me).or_default();
        for before in held.iter() {
            notes.entry(before.place).or_default().has_next = true;
        }
        let is_exclusive = want == Want::Write;
        notes.entry(place).or_insert_with(|| Note::new(id.0, place, tries));
        held.push(Held { id, place, is_exclusive, was_exclusive: is_exclusive });
    }

    /// Notes that an actor has to wait for somebody, or does not get what it tries: nothing else has kept the two apart.
    pub(super) fn refused(&self, id: LockId, place: Place, tries: bool) {
        let notes = &mut self.0.lock().notes;
        let note = notes.entry(place).or_insert_with(|| Note::new(id.0, place, tries));
        (note.meets, note.excludes) = (true, true);
    }

    /// Notes that an actor goes on as a reader.
    pub(super) fn downgraded(&self, me: ActorId, id: LockId) {
        if let Some(held) = self.0.lock().held.get_mut(&me).and_then(|held| held.iter_mut().rfind(|held| held.id == id))
        {
            held.is_exclusive = false;
        }
    }

    /// Notes that an actor has let go of a lock.
    pub(super) fn released(&self, me: ActorId, id: LockId) {
        let Inner { notes, held, holds } = &mut *self.0.lock();
        let Some(held) = held.get_mut(&me) else { return };
        let Some(at) = held.iter().rposition(|held| held.id == id) else { return };
        let Held { place, was_exclusive, .. } = held.remove(at);
        let gates: Vec<_> = held[..at].iter().map(|before| (before.id, before.is_exclusive)).collect();
        let classes = gates.iter().map(|&((class, ..), exclusive)| (class, exclusive)).collect();
        let way = Way { is_exclusive: was_exclusive, gates: classes };
        notes.entry(place).or_default().ways.insert(way);
        holds.entry(id).or_default().insert(Hold { place, is_exclusive: was_exclusive, actor: me, gates });
    }

    /// Ends a round of the scheduler: actors of different rounds do not meet.
    pub(crate) fn end_round(&self) {
        let Inner { notes, held, holds } = &mut *self.0.lock();
        held.clear();
        for all in std::mem::take(holds).into_values() {
            for one in &all {
                let note = notes.entry(one.place).or_default();
                for other in all.iter().filter(|other| !note.excludes && one.meets(other)) {
                    note.meets = true;
                    match one.gate(other) {
                        Some(gate) => {
                            note.gates.insert(gate);
                        }
                        None => {
                            note.excludes = true;
                            break;
                        }
                    }
                }
            }
        }
    }

    /// Returns the notes.
    pub(crate) fn take(&self) -> BTreeMap<Place, Note> {
        std::mem::take(&mut self.0.lock().notes)
    }
}

impl std::fmt::Debug for Survey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Survey")
    }
}

/// Returns the name of the function that has this place, as the stack tells it: lines move, functions stay.
fn function_at(place: Place) -> Option<String> {
    let stack = Backtrace::force_capture().to_string();
    let file = place.file.rsplit_once("src/").map_or(place.file, |(_, file)| file);
    let at = format!("src/{file}:{}:", place.line);
    let lines: Vec<&str> = stack.lines().collect();
    let found = lines.windows(2).find(|pair| pair[1].contains(&at))?;
    let name = found[0].split_once(": ").map_or(found[0], |(_, name)| name);
    let name = name.split("::{{closure}}").next().unwrap_or(name);
    Some(name.rsplit("::").next().unwrap_or(name).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MMAP: LockId = ("mm->mmap_lock", "process", 1);
    const VMA: LockId = ("vma->vm_lock", "vma", 1);
    const CHANGING: LockId = ("map_changing_lock", "userfaultfd", 1);
    const CHANGE: Place = Place { file: "change.rs", line: 1, column: 1 };
    const PROTECT: Place = Place { file: "protect.rs", line: 1, column: 1 };
    const FILL: Place = Place { file: "fill.rs", line: 1, column: 1 };
    const OUTER: Place = Place { file: "outer.rs", line: 1, column: 1 };

    /// An actor holds a lock at a place, and another one around it.
    fn hold(survey: &Survey, actor: u32, outer: (LockId, Want), place: Place, want: Want) {
        let me = ActorId(actor);
        survey.acquired(me, outer.0, OUTER, outer.1, false);
        survey.acquired(me, CHANGING, place, want, false);
        survey.released(me, CHANGING);
        survey.released(me, outer.0);
    }

    fn notes_of(run: impl FnOnce(&Survey)) -> BTreeMap<Place, Note> {
        let survey = Survey::default();
        run(&survey);
        survey.end_round();
        survey.take()
    }

    fn change_meets_protect(survey: &Survey) {
        hold(survey, 1, (MMAP, Want::Write), CHANGE, Want::Write);
        hold(survey, 2, (MMAP, Want::Read), PROTECT, Want::Read);
    }

    #[test]
    fn a_gate_around_both_keeps_them_apart() {
        let notes = notes_of(change_meets_protect);
        let (change, protect) = (&notes[&CHANGE], &notes[&PROTECT]);
        assert!(change.meets && !change.excludes);
        assert_eq!(change.gates, BTreeSet::from([MMAP.0]));
        assert!(!change.may_exclude(protect) && !protect.may_exclude(change));
        assert!(!change.may_exclude(change) && !protect.may_exclude(protect), "two readers exclude nobody");
    }

    #[test]
    fn a_gate_must_conflict_itself() {
        let notes = notes_of(|survey| {
            hold(survey, 1, (MMAP, Want::Read), CHANGE, Want::Write);
            hold(survey, 2, (MMAP, Want::Read), PROTECT, Want::Read);
        });
        assert!(notes[&CHANGE].excludes && notes[&CHANGE].may_exclude(&notes[&PROTECT]));
    }

    #[test]
    fn whom_it_has_not_met_it_may_exclude() {
        let mut notes = notes_of(change_meets_protect);
        notes.extend(notes_of(|survey| hold(survey, 1, (VMA, Want::Read), FILL, Want::Read)));
        let (change, fill) = (&notes[&CHANGE], &notes[&FILL]);
        assert!(!change.excludes, "the two are in different runs");
        assert!(change.may_exclude(fill) && fill.may_exclude(change));
    }

    #[test]
    fn all_ways_of_a_place_count() {
        let mut notes = notes_of(change_meets_protect);
        let other = notes_of(|survey| hold(survey, 1, (VMA, Want::Read), PROTECT, Want::Read));
        notes.entry(PROTECT).and_modify(|known| known.merge(&other[&PROTECT]));
        assert!(!notes[&CHANGE].excludes && notes[&CHANGE].may_exclude(&notes[&PROTECT]));
    }

    #[test]
    fn whoever_is_refused_is_excluded() {
        let notes = notes_of(|survey| survey.refused(CHANGING, FILL, true));
        assert!(notes[&FILL].meets && notes[&FILL].excludes && notes[&FILL].tries);
    }
}
