//! The seeded scheduler: exactly one actor runs at a time, and the seed decides who is next.
//!
//! 1. Every acquisition, release and step of an operation is a scheduling point: the actor may pass the baton on.
//! 2. An actor that cannot have a lock is blocked until whoever grants the lock wakes it.
//! 3. If nobody is ready and somebody is blocked, that is a real deadlock: it is written down, and every actor unwinds.
//!
//! So a run is a function of its seed, stacks are real stacks, and no run ever hangs.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    thread,
};

use lockdep::Session;
use parking_lot::{Condvar, Mutex};

use super::{
    Body, Deadlock, Rng, Stop, Waitable,
    actor::{self, ActorId},
    backend::{Backend, Stopped},
    wait_for::{Wait, Waiting},
};
use crate::finding::Findings;

enum State {
    Ready,
    Blocked(Waiting, Vec<&'static str>),
    /// Has nothing to do with the simulated machine until the run has come to this step.
    Asleep(u64),
    Finished,
}

struct Slot {
    name: String,
    state: State,
    turn: Arc<Condvar>,
}

struct Inner {
    slots: Vec<Slot>,
    running: usize,
    rng: Rng,
    steps: u64,
    limit: u64,
    stop: Option<Stop>,
}

/// The right to run.
pub(crate) struct Baton {
    inner: Mutex<Inner>,
}

impl Baton {
    /// Runs the actors to their ends, each in `session`, and returns how many steps it took and why it stopped early.
    pub(crate) fn run(
        seed: u64,
        limit: u64,
        session: &Session,
        findings: &Arc<Findings>,
        actors: Vec<(String, Body)>,
    ) -> (u64, Option<Stop>) {
        let slot = |(name, _): &(String, Body)| Slot { name: name.clone(), state: State::Ready, turn: Arc::default() };
        let slots: Vec<Slot> = actors.iter().map(slot).collect();
        let mut rng = Rng::new(seed);
        let running = rng.below(slots.len().max(1) as u64) as usize;
        let inner = Mutex::new(Inner { slots, running, rng, steps: 0, limit, stop: None });
        let baton = Arc::new(Self { inner });
        let start = |(id, (name, body)): (usize, (String, Body))| {
            let (baton, session, findings) = (baton.clone(), session.clone(), findings.clone());
            let main = move || baton.main(ActorId(id as u32), &findings, &session, body);
            thread::Builder::new().name(name).spawn(main).expect("the system has a thread for every actor")
        };
        let threads: Vec<_> = actors.into_iter().enumerate().map(start).collect();
        threads.into_iter().for_each(|thread| thread.join().expect("an actor's main catches all panics"));
        let inner = baton.inner.lock();
        (inner.steps, inner.stop.clone())
    }

    fn main(self: Arc<Self>, id: ActorId, findings: &Arc<Findings>, session: &Session, body: Body) {
        let name = self.inner.lock().slots[id.0 as usize].name.clone();
        actor::become_actor(id, &name, self.clone(), findings.clone());
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            self.await_turn(id);
            session.enter(body);
        }));
        if let Err(payload) = outcome {
            self.note_panic(&name, &*payload);
        }
        self.finish(id);
    }

    fn note_panic(&self, actor: &str, payload: &(dyn std::any::Any + Send)) {
        if payload.is::<Stopped>() {
            return;
        }
        let message = actor::panic_message(payload);
        let mut inner = self.inner.lock();
        inner.stop_all(Stop::Panic { actor: actor.to_owned(), message });
    }

    /// Waits until it is this actor's turn. Unwinds if the run is stopped.
    fn await_turn(&self, me: ActorId) {
        let mut inner = self.inner.lock();
        let turn = inner.slots[me.0 as usize].turn.clone();
        while inner.stop.is_none() && inner.running != me.0 as usize {
            turn.wait(&mut inner);
        }
        if inner.stop.is_some() {
            drop(inner);
            resume_unwind(Box::new(Stopped));
        }
    }

    fn finish(&self, me: ActorId) {
        let mut inner = self.inner.lock();
        inner.slots[me.0 as usize].state = State::Finished;
        if inner.stop.is_none() {
            inner.pass_on();
        }
    }
}

impl Backend for Baton {
    fn step(&self, me: ActorId) {
        {
            let mut inner = self.inner.lock();
            inner.steps += 1;
            if inner.steps > inner.limit && inner.stop.is_none() {
                let limit = inner.limit;
                inner.stop_all(Stop::StepLimit(limit));
            }
            // Mostly run on: long stretches of one actor between switches reach more states than a strict shuffle.
            if inner.stop.is_none() && inner.rng.below(4) != 0 {
                return;
            }
            inner.pass_on();
            if inner.stop.is_none() && inner.running == me.0 as usize {
                return;
            }
        }
        self.await_turn(me);
    }

    fn sleep(&self, me: ActorId, steps: u64) {
        {
            let mut inner = self.inner.lock();
            let until = inner.steps + steps;
            inner.slots[me.0 as usize].state = State::Asleep(until);
            inner.pass_on();
        }
        self.await_turn(me);
    }

    fn block(&self, me: ActorId, what: Arc<dyn Waitable>, mode: &'static str, path: Vec<&'static str>) {
        {
            let mut inner = self.inner.lock();
            inner.slots[me.0 as usize].state = State::Blocked(Waiting { what, mode }, path);
            inner.pass_on();
        }
        self.await_turn(me);
    }

    fn wake(&self, actor: ActorId) {
        if let Some(slot) = self.inner.lock().slots.get_mut(actor.0 as usize) {
            slot.state = State::Ready;
        }
    }

    fn settles(&self, holds: &dyn Fn() -> bool) -> bool {
        holds()
    }
}

impl Inner {
    /// Gives the baton to a ready actor, drawn at random. If there is none, the run is over or deadlocked.
    fn pass_on(&mut self) {
        self.wake_sleepers();
        let is_ready = |slot: &Slot| matches!(slot.state, State::Ready);
        let ready: Vec<usize> = (0..self.slots.len()).filter(|&i| is_ready(&self.slots[i])).collect();
        if ready.is_empty() {
            if let Some(deadlock) = self.deadlock() {
                self.stop_all(Stop::Deadlock(deadlock));
            }
            return;
        }
        self.running = ready[self.rng.below(ready.len() as u64) as usize];
        self.slots[self.running].turn.notify_one();
    }

    /// Wakes who has slept long enough; if nobody is ready, time passes until somebody has.
    fn wake_sleepers(&mut self) {
        let until = |slot: &Slot| if let State::Asleep(until) = slot.state { Some(until) } else { None };
        if !self.slots.iter().any(|slot| matches!(slot.state, State::Ready)) {
            self.steps = self.slots.iter().filter_map(until).min().unwrap_or(0).max(self.steps);
        }
        for slot in &mut self.slots {
            if until(slot).is_some_and(|until| until <= self.steps) {
                slot.state = State::Ready;
            }
        }
    }

    fn deadlock(&self) -> Option<Deadlock> {
        let name = |actor: ActorId| self.slots.get(actor.0 as usize).map_or("outside", |slot| &slot.name);
        let wait = |slot: &Slot| match &slot.state {
            State::Blocked(waiting, path) => Some(waiting.describe(&slot.name, path, name)),
            State::Ready | State::Asleep(_) | State::Finished => None,
        };
        let waits: Vec<Wait> = self.slots.iter().filter_map(wait).collect();
        (!waits.is_empty()).then_some(Deadlock { waits, steps: self.steps })
    }

    fn stop_all(&mut self, stop: Stop) {
        self.stop.get_or_insert(stop);
        self.slots.iter().for_each(|slot| {
            slot.turn.notify_one();
        });
    }
}
