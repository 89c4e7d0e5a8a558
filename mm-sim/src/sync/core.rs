//! What all locks share: how an actor acquires one, waits for it, and lets go of it.
//!
//! Around a [`State`]: lockdep is told before, whoever watches the run afterwards, and the run's mutation is asked.

use std::{panic::Location, sync::Arc};

use lockdep::{LockClass, LockMap, Subclass};
use parking_lot::Mutex;

use super::{
    id::LockId,
    mutation::{Place, Twist},
    state::{State, Want},
    trace::{Step, Taken},
};
use crate::{
    finding::Invariant,
    sched::{self, ActorId, Holder, Waitable},
};

/// What a lock belongs to, for people: `("file", 1)`.
pub(crate) type Owner = (&'static str, u64);

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
        self.note_acquired(place, want, false, &nesting);
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
        let place = Place::of(Location::caller());
        self.map.timed(|| self.state.lock().try_take(me, want).then_some(()), || self.wait(me, want, place));
        self.note_taken();
    }

    /// Takes the lock, or queues for it and sleeps until it is handed over.
    fn wait(self: &Arc<Self>, me: ActorId, want: Want, place: Place) {
        let has_it = {
            let mut state = self.state.lock();
            let has_it = state.try_take(me, want);
            if !has_it {
                state.queue.push_back((me, want));
            }
            has_it
        };
        if !has_it {
            sched::note(|survey, _| survey.refused(self.id(), place, false));
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
            self.note_acquired(place, want, true, &Nesting::Level(subclass));
            sched::take_deferred();
        } else {
            let place = Place::of(Location::caller());
            sched::note(|survey, _| survey.refused(self.id(), place, true));
        }
        taken.then_some(Hold::Taken)
    }

    /// Tells lockdep that it may be acquired here, whether it is or not.
    #[track_caller]
    pub(super) fn might_take(&self, want: Want) {
        self.map.acquire(want.how());
        self.map.release();
        sched::trace(|| self.taken(want, false, &Nesting::Level(0)));
        sched::trace(|| Step::Release(self.id()));
    }

    /// Tells whoever notes acquisitions.
    fn note_acquired(&self, place: &'static Location<'static>, want: Want, tries: bool, nesting: &Nesting) {
        sched::note(|survey, me| survey.acquired(me, self.id(), Place::of(place), want, tries));
        sched::trace(|| self.taken(want, tries, nesting));
    }

    /// What a trace says of an acquisition.
    fn taken(&self, want: Want, tries: bool, nesting: &Nesting) -> Step {
        let (level, under) = match nesting {
            Nesting::Level(level) => (*level, false),
            Nesting::Under(_) => (0, true),
        };
        Step::Take(Taken { lock: self.id(), way: want.way(), tries, level, under })
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
            sched::trace(|| Step::Release(self.id()));
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
        sched::trace(|| Step::Downgrade(self.id()));
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
