//! What a run without mutations teaches about its acquisitions: which of them a mutation could change anything at.
//!
//! For each place: the function, whether another lock is taken before it is released, and whether it
//! *excludes* anybody. It does if another actor of the same round of the scheduler acquires the same lock in a mode that
//! conflicts, and no other lock (a *gate*) is held around both acquisitions, in modes that conflict too. If there is a
//! gate whenever the two meet, leaving the lock out changes no exclusion.

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
}

impl Note {
    /// Adds what another run has taught.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.has_next |= other.has_next;
        self.meets |= other.meets;
        self.excludes |= other.excludes;
        self.gates.extend(&other.gates);
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
        notes.entry(place).or_insert_with(|| {
            let function = function_at(place).unwrap_or_default();
            Note { class: id.0, tries, function, ..Note::default() }
        });
        held.push(Held { id, place, is_exclusive, was_exclusive: is_exclusive });
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
        let Inner { held, holds, .. } = &mut *self.0.lock();
        let Some(held) = held.get_mut(&me) else { return };
        let Some(at) = held.iter().rposition(|held| held.id == id) else { return };
        let Held { place, was_exclusive, .. } = held.remove(at);
        let gates = held[..at].iter().map(|before| (before.id, before.is_exclusive)).collect();
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
