//! The state that all locks share: who holds it, who queues, and how an actor waits.
//!
//! Fair as the kernel's rwsem: whoever comes while somebody queues goes to the end of the queue, and a release hands the
//! lock to the head of the queue (one writer, or all readers up to the next writer). Trylocks fail while anybody queues.

use std::{collections::VecDeque, panic::Location, sync::Arc};

use lockdep::{Acquire, LockClass, LockMap, Subclass};
use parking_lot::Mutex;

use super::{
    mutation::{Place, Twist},
    survey::LockId,
};
use crate::{
    finding::Invariant,
    sched::{self, ActorId, Holder, Waitable},
};

/// What a lock belongs to, for people: `("file", 1)`.
pub(crate) type Owner = (&'static str, u64);

/// How a lock is wanted or held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    Read,
    Write,
}

impl Want {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    const fn how(self) -> Acquire {
        match self {
            Self::Read => Acquire::shared(),
            Self::Write => Acquire::exclusive(),
        }
    }
}

/// How an acquisition nests among locks of its class.
#[derive(Clone)]
pub(super) enum Nesting {
    /// On a level of its own; 0 if it does not nest.
    Level(u8),
    /// Beside others of its class, which this lock, that the actor has, keeps everybody else from nesting.
    Under(Arc<Core>),
}

/// What a guard holds: all but `Taken` only ever happen under a mutation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    Taken,
    /// Nothing, as if it were something.
    Skipped,
    /// Nothing until the next acquisition.
    Deferred(u64),
}

#[derive(Default)]
struct State {
    writer: Option<ActorId>,
    readers: Vec<ActorId>,
    queue: VecDeque<(ActorId, Want)>,
    is_destroyed: bool,
}

impl State {
    fn is_free_for(&self, want: Want) -> bool {
        self.writer.is_none() && (want == Want::Read || self.readers.is_empty())
    }

    fn grant(&mut self, actor: ActorId, want: Want) {
        match want {
            Want::Read => self.readers.push(actor),
            Want::Write => self.writer = Some(actor),
        }
    }

    fn try_take(&mut self, actor: ActorId, want: Want) -> bool {
        let free = self.queue.is_empty() && self.is_free_for(want);
        if free {
            self.grant(actor, want);
        }
        free
    }

    /// Takes the lock from its holder. Returns whether it was one.
    fn drop_hold(&mut self, actor: ActorId, want: Want) -> bool {
        match want {
            Want::Read => match self.readers.iter().rposition(|&reader| reader == actor) {
                Some(index) => {
                    self.readers.swap_remove(index);
                    true
                }
                None => false,
            },
            Want::Write => self.writer.take_if(|writer| *writer == actor).is_some(),
        }
    }

    /// Returns whom somebody in the queue has to wait for.
    fn blockers(&self, actor: ActorId) -> Vec<ActorId> {
        let Some(at) = self.queue.iter().position(|(other, _)| *other == actor) else { return Vec::new() };
        let want = self.queue[at].1;
        let excludes = |other: Want| want == Want::Write || other == Want::Write;
        let readers = self.readers.iter().filter(|_| excludes(Want::Read));
        let before = self.queue.range(..at).filter(|(_, other)| excludes(*other)).map(|(other, _)| other);
        self.writer.iter().chain(readers).chain(before).copied().collect()
    }

    /// Hands the lock to the head of the queue. Returns who got it.
    fn hand_over(&mut self) -> Vec<ActorId> {
        let mut woken = Vec::new();
        while let Some(&(actor, want)) = self.queue.front()
            && self.is_free_for(want)
        {
            self.queue.pop_front();
            self.grant(actor, want);
            woken.push(actor);
        }
        woken
    }
}

/// Steps that one may spin with interrupts disabled.
const WATCHDOG: u64 = 1000;

/// A lock of the simulator.
pub(super) struct Core {
    map: LockMap,
    class: &'static LockClass,
    owner: Owner,
    sleeps: bool,
    state: Mutex<State>,
}

impl Core {
    pub(super) fn new(class: &'static LockClass, owner: Owner, sleeps: bool) -> Arc<Self> {
        Arc::new(Self { map: LockMap::new_in(class), class, owner, sleeps, state: Mutex::default() })
    }

    pub(super) const fn map(&self) -> &LockMap {
        &self.map
    }

    /// Acquires, waiting as long as it takes, unless the run's mutation has it otherwise.
    #[track_caller]
    pub(super) fn lock(self: &Arc<Self>, want: Want, subclass: u8) -> Hold {
        self.lock_nested(want, Nesting::Level(subclass))
    }

    /// The same, nested in any of the ways there are.
    #[track_caller]
    pub(super) fn lock_nested(self: &Arc<Self>, want: Want, nesting: Nesting) -> Hold {
        match sched::twist(Location::caller()) {
            Some(Twist::Skip) => {
                sched::step();
                return Hold::Skipped;
            }
            Some(Twist::Swap) => {
                let (core, nesting) = (self.clone(), nesting.clone());
                if let Some(number) = sched::defer(Box::new(move || core.take(want, &nesting))) {
                    return Hold::Deferred(number);
                }
            }
            Some(Twist::Wait) | None => {}
        }
        self.take(want, &nesting);
        let place = Location::caller();
        sched::note(|survey, me| survey.acquired(me, self.id(), Place::of(place), want, false));
        sched::take_deferred();
        Hold::Taken
    }

    #[track_caller]
    fn take(self: &Arc<Self>, want: Want, nesting: &Nesting) {
        sched::step();
        if self.sleeps && sched::is_atomic() {
            sched::finding(Invariant::SleepInAtomic, format!("would sleep on {} under a spinning lock", self.label()));
        }
        match nesting {
            Nesting::Level(subclass) => self.map.acquire(want.how().nested(Subclass::new(*subclass))),
            Nesting::Under(nest) => self.map.acquire_under(want.how(), &nest.map),
        }
        let me = sched::current();
        self.check_not_destroyed("taken");
        self.map.timed(|| self.state.lock().try_take(me, want).then_some(()), || self.wait(me, want));
        self.note_taken();
    }

    /// Takes the lock, or queues for it and sleeps until it is handed over.
    fn wait(self: &Arc<Self>, me: ActorId, want: Want) {
        let has_it = {
            let mut state = self.state.lock();
            let has_it = state.try_take(me, want);
            if !has_it {
                state.queue.push_back((me, want));
            }
            has_it
        };
        if !has_it {
            let since = sched::now();
            sched::block(self.clone(), want.as_str());
            self.check_watchdog(since);
        }
    }

    /// Checks that nobody has spun for so long, with interrupts disabled, that the machine would be taken for dead.
    fn check_watchdog(&self, since: Option<u64>) {
        let waited = sched::now().zip(since).map_or(0, |(now, since)| now - since);
        if !self.sleeps && waited > WATCHDOG && sched::has_irqs_off() {
            let text = format!("spins for {} over {waited} steps, with interrupts disabled", self.label());
            sched::finding(Invariant::HardLockup, text);
        }
    }

    /// Acquires if that needs no waiting.
    #[track_caller]
    pub(super) fn try_lock(self: &Arc<Self>, want: Want, subclass: u8) -> Option<Hold> {
        match sched::twist(Location::caller()) {
            Some(Twist::Skip) => {
                sched::step();
                return Some(Hold::Skipped);
            }
            Some(Twist::Wait) => {
                self.take(want, &Nesting::Level(subclass));
                return Some(Hold::Taken);
            }
            Some(Twist::Swap) | None => {}
        }
        sched::step();
        let taken = self.state.lock().try_take(sched::current(), want);
        if taken {
            self.map.acquire(want.how().nested(Subclass::new(subclass)).trylock());
            self.note_taken();
            let place = Location::caller();
            sched::note(|survey, me| survey.acquired(me, self.id(), Place::of(place), want, true));
            sched::take_deferred();
        }
        taken.then_some(Hold::Taken)
    }

    fn id(&self) -> LockId {
        (self.class.name(), self.owner.0, self.owner.1)
    }

    /// From now on nobody may use it.
    pub(super) fn destroy(&self) {
        let in_use = {
            let mut state = self.state.lock();
            state.is_destroyed = true;
            state.writer.is_some() || !state.readers.is_empty() || !state.queue.is_empty()
        };
        if in_use {
            let text = format!("{} is freed while somebody has it or waits for it", self.label());
            sched::finding(Invariant::LockUsedAfterFree, text);
        }
    }

    fn check_not_destroyed(&self, what: &str) {
        if self.state.lock().is_destroyed {
            let text = format!("{} is {what} after it was freed", self.label());
            sched::finding(Invariant::LockUsedAfterFree, text);
        }
    }

    fn note_taken(&self) {
        if !self.sleeps {
            sched::enter_atomic();
        }
    }

    /// Releases, and hands the lock to whoever is next.
    pub(super) fn unlock(&self, want: Want, hold: Hold) {
        if self.is_really(hold) {
            self.check_not_destroyed("released");
            self.let_go(want);
            self.map.release();
            sched::note(|survey, me| survey.released(me, self.id()));
        }
        sched::step();
    }

    /// Returns whether the lock was taken after all.
    fn is_really(&self, hold: Hold) -> bool {
        match hold {
            Hold::Taken => true,
            Hold::Skipped => false,
            Hold::Deferred(number) => !sched::forget_deferred(number),
        }
    }

    fn let_go(&self, want: Want) {
        let (held, woken) = {
            let mut state = self.state.lock();
            (state.drop_hold(sched::current(), want), state.hand_over())
        };
        if !held && !std::thread::panicking() {
            sched::finding(Invariant::UnlockMismatch, format!("{} is not held for {}", self.label(), want.as_str()));
        }
        if !self.sleeps {
            sched::leave_atomic();
        }
        woken.into_iter().for_each(sched::wake);
    }

    /// Makes the writer a reader.
    pub(super) fn downgrade(&self, hold: Hold) {
        sched::take_deferred();
        if hold == Hold::Skipped {
            return;
        }
        let woken = {
            let mut state = self.state.lock();
            let me = sched::current();
            if state.drop_hold(me, Want::Write) {
                state.readers.push(me);
            }
            state.hand_over()
        };
        self.map.set_mode(lockdep::Mode::Shared);
        sched::note(|survey, me| survey.downgraded(me, self.id()));
        woken.into_iter().for_each(sched::wake);
        sched::step();
    }

    pub(super) fn is_mine(&self, want: Want) -> bool {
        let state = self.state.lock();
        let me = sched::current();
        match want {
            Want::Read => state.readers.contains(&me),
            Want::Write => state.writer == Some(me),
        }
    }

    pub(super) fn is_free(&self) -> bool {
        let state = self.state.lock();
        state.writer.is_none() && state.readers.is_empty()
    }

    /// Returns whether anybody but this actor holds the lock.
    pub(super) fn is_held_by_others(&self) -> bool {
        let state = self.state.lock();
        let me = sched::current();
        state.writer.is_some_and(|writer| writer != me) || state.readers.iter().any(|&reader| reader != me)
    }
}

impl Waitable for Core {
    fn label(&self) -> String {
        format!("{} of {} {}", self.class.name(), self.owner.0, self.owner.1)
    }

    fn holders(&self) -> Vec<Holder> {
        let state = self.state.lock();
        let writer = state.writer.iter().map(|&actor| Holder { actor, mode: "write" });
        writer.chain(state.readers.iter().map(|&actor| Holder { actor, mode: "read" })).collect()
    }

    fn blockers(&self, actor: ActorId) -> Vec<ActorId> {
        self.state.lock().blockers(actor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ActorId = ActorId(0);
    const B: ActorId = ActorId(1);
    const C: ActorId = ActorId(2);

    #[test]
    fn a_reader_queues_behind_a_waiting_writer() {
        let mut state = State::default();
        assert!(state.try_take(A, Want::Read));
        assert!(!state.try_take(B, Want::Write));
        state.queue.push_back((B, Want::Write));
        assert!(!state.try_take(C, Want::Read), "fair: the writer is first");
        state.queue.push_back((C, Want::Read));
        assert!(state.drop_hold(A, Want::Read));
        assert_eq!(state.hand_over(), [B]);
        assert!(state.drop_hold(B, Want::Write));
        assert_eq!(state.hand_over(), [C]);
    }

    #[test]
    fn who_queues_waits_for_holders_and_for_writers_before_it() {
        let mut state = State::default();
        assert!(state.try_take(A, Want::Read));
        state.queue.extend([(B, Want::Write), (C, Want::Read)]);
        assert_eq!(state.blockers(B), [A]);
        assert_eq!(state.blockers(C), [B], "a reader does not exclude it, the writer before it does");
        assert_eq!(state.blockers(A), []);
    }

    #[test]
    fn readers_at_the_head_enter_together() {
        let mut state = State::default();
        assert!(state.try_take(A, Want::Write));
        state.queue.extend([(B, Want::Read), (C, Want::Read)]);
        assert!(state.drop_hold(A, Want::Write));
        assert_eq!(state.hand_over(), [B, C]);
        assert!(!state.drop_hold(A, Want::Read), "the mode must match");
    }
}
