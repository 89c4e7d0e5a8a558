//! The cooperative scheduler: exactly one actor runs at a time, and an [`Order`] decides who is next.
//!
//! 1. Every acquisition, release and step of an operation is a scheduling point: the actor may pass the baton on.
//! 2. An actor that cannot have a lock is blocked until whoever grants the lock wakes it.
//! 3. If nobody is ready and somebody is blocked, that is a real deadlock: it is written down, and every actor unwinds.
//!
//! So a run is a function of its seed or its schedule, stacks are real stacks, and no run ever hangs.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    thread,
};

use parking_lot::{Condvar, Mutex};

use super::{
    Body, Choice, Deadlock, Order, Rng, Stop, Waitable,
    actor::{self, Context},
    backend::{Backend, Stopped},
    id::ActorId,
    wait_for::{Wait, Waiting},
};

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
    order: Order,
    steps: u64,
    limit: u64,
    stop: Option<Stop>,
}

/// What a run did.
pub(crate) struct Run {
    pub(crate) steps: u64,
    /// Why it ended early.
    pub(crate) stop: Option<Stop>,
    /// Where somebody else could have run, if the order notes that.
    pub(crate) choices: Vec<Choice>,
}

/// The right to run.
pub(crate) struct Baton {
    inner: Mutex<Inner>,
}

impl Baton {
    /// Runs the actors to their ends.
    pub(crate) fn run(mut order: Order, limit: u64, context: &Context, actors: Vec<(String, Body)>) -> Run {
        let slot = |(name, _): &(String, Body)| Slot { name: name.clone(), state: State::Ready, turn: Arc::default() };
        let slots: Vec<Slot> = actors.iter().map(slot).collect();
        let running = order.first(slots.len());
        let inner = Mutex::new(Inner { slots, running, order, steps: 0, limit, stop: None });
        let baton = Arc::new(Self { inner });
        let start = |(id, (name, body)): (usize, (String, Body))| {
            let (baton, context) = (baton.clone(), context.clone());
            let main = move || baton.main(ActorId(id as u32), context, body);
            thread::Builder::new().name(name).spawn(main).expect("the system has a thread for every actor")
        };
        let threads: Vec<_> = actors.into_iter().enumerate().map(start).collect();
        threads.into_iter().for_each(|thread| thread.join().expect("an actor's main catches all panics"));
        let mut inner = baton.inner.lock();
        let order = std::mem::replace(&mut inner.order, Order::Drawn(Rng::new(0)));
        Run { steps: inner.steps, stop: inner.stop.take(), choices: order.into_choices() }
    }

    fn main(self: Arc<Self>, id: ActorId, context: Context, body: Body) {
        let name = self.inner.lock().slots[id.0 as usize].name.clone();
        let session = context.session.clone();
        actor::become_actor(id, &name, self.clone(), context);
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
            if inner.stop.is_none() && inner.order.goes_on() {
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

    fn stop(&self) {
        self.inner.lock().stop_all(Stop::Found);
    }

    fn now(&self) -> Option<u64> {
        Some(self.inner.lock().steps)
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
        self.running = self.order.next(self.running, &ready);
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
