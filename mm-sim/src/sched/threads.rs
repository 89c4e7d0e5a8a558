//! Real threads that really run at the same time, until the time is up.
//!
//! An actor that cannot have a lock parks until it is granted. A watchdog looks at who waits for whom: a circle of actors
//! that have all been parked since its last look is a deadlock, which it writes down and ends. It also ends a run whose
//! actors do not come to an end.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use super::{
    Body, Deadlock, Rng, Stop, Wait, Waitable,
    actor::{self, Context},
    backend::{Backend, Stopped},
    id::ActorId,
    wait_for::Waiting,
};

/// How often the watchdog looks.
const LOOK: Duration = Duration::from_millis(20);
/// How long after the end of its time an actor may still be busy.
const GRACE: Duration = Duration::from_secs(60);
/// How long a step of the cooperative scheduler is taken to be, for actors that pause for some.
const STEP: Duration = Duration::from_nanos(100);
/// One step in so many gives the processor away, so that switches come inside of operations.
const YIELD_ONE_IN: u64 = 64;
/// How often `settles` looks.
const LOOKS: u32 = 10_000;

enum State {
    Running,
    /// Parked for the n-th time.
    Blocked(u64, Waiting, Vec<&'static str>),
    Finished,
}

struct Inner {
    state: State,
    woken: bool,
    parks: u64,
}

/// What the backend knows of an actor.
struct Slot {
    name: String,
    inner: Mutex<Inner>,
    turn: Condvar,
    steps: AtomicU64,
    rng: Mutex<Rng>,
}

/// What a run did.
pub(crate) struct Ran {
    /// Steps of all actors.
    pub(crate) steps: u64,
    /// How often an actor was parked.
    pub(crate) waits: u64,
    /// Why it ended early.
    pub(crate) stop: Option<Stop>,
}

/// All actors of a run.
pub(crate) struct Threads {
    slots: Vec<Slot>,
    stopped: AtomicBool,
    stop: Mutex<Option<Stop>>,
}

impl Threads {
    /// Runs the actors to their ends, each in `session`. They should end within `time`.
    pub(crate) fn run(seed: u64, time: Duration, context: &Context, actors: Vec<(String, Body)>) -> Ran {
        let mut rng = Rng::new(seed);
        let slots = actors.iter().map(|(name, _)| Slot::new(name, Rng::new(rng.next()))).collect();
        let threads = Arc::new(Self { slots, stopped: AtomicBool::new(false), stop: Mutex::default() });
        let start = |(id, (name, body)): (usize, (String, Body))| {
            let (threads, context) = (threads.clone(), context.clone());
            let main = move || threads.main(ActorId(id as u32), context, body);
            thread::Builder::new().name(name).spawn(main).expect("the system has a thread for every actor")
        };
        let handles: Vec<_> = actors.into_iter().enumerate().map(start).collect();
        threads.watch(Instant::now() + time + GRACE);
        handles.into_iter().for_each(|handle| handle.join().expect("an actor's main catches all panics"));
        let waits = threads.slots.iter().map(|slot| slot.inner.lock().parks).sum();
        let stop = threads.stop.lock().take();
        Ran { steps: threads.steps(), waits, stop }
    }

    fn main(self: Arc<Self>, id: ActorId, context: Context, body: Body) {
        let name = self.slot(id).name.clone();
        let session = context.session.clone();
        actor::become_actor(id, &name, self.clone(), context);
        let outcome = catch_unwind(AssertUnwindSafe(|| session.enter(body)));
        if let Err(payload) = outcome
            && !payload.is::<Stopped>()
        {
            self.stop_all(Stop::Panic { actor: name, message: actor::panic_message(&*payload) });
        }
        self.slot(id).inner.lock().state = State::Finished;
    }

    fn steps(&self) -> u64 {
        self.slots.iter().map(|slot| slot.steps.load(Relaxed)).sum()
    }

    fn slot(&self, actor: ActorId) -> &Slot {
        &self.slots[actor.0 as usize]
    }

    fn check_stop(&self) {
        if self.stopped.load(Relaxed) && !thread::panicking() {
            resume_unwind(Box::new(Stopped));
        }
    }

    /// Ends the run: everybody unwinds from the next step, or from where it is parked.
    fn stop_all(&self, stop: Stop) {
        self.stop.lock().get_or_insert(stop);
        self.stopped.store(true, Relaxed);
        for slot in &self.slots {
            // With the lock held, so that nobody is between looking at the flag and parking.
            let _inner = slot.inner.lock();
            slot.turn.notify_all();
        }
    }

    /// The watchdog: returns when every actor has ended.
    fn watch(&self, end: Instant) {
        let mut last = BTreeMap::new();
        while self.slots.iter().any(|slot| !matches!(slot.inner.lock().state, State::Finished)) {
            thread::sleep(LOOK.min(end.saturating_duration_since(Instant::now()) + Duration::from_millis(1)));
            if self.stopped.load(Relaxed) {
                continue;
            }
            let parked = self.parked();
            let mut still = parked.clone();
            still.retain(|id, park| last.get(id) == Some(park));
            if let Some(waits) = self.circle(&still) {
                self.stop_all(Stop::Deadlock(Deadlock { waits, steps: self.steps() }));
            } else if Instant::now() > end {
                self.stop_all(Stop::NoEnd(self.busy()));
            }
            last = parked;
        }
    }

    /// Returns who is parked, and for the how manieth time.
    fn parked(&self) -> BTreeMap<ActorId, u64> {
        let ids = (0..self.slots.len()).map(|id| ActorId(id as u32));
        ids.filter_map(|id| Some((id, self.park(id)?))).collect()
    }

    /// Returns for the how manieth time an actor is parked, if it is.
    fn park(&self, id: ActorId) -> Option<u64> {
        match self.slot(id).inner.lock().state {
            State::Blocked(park, ..) => Some(park),
            State::Running | State::Finished => None,
        }
    }

    /// Returns the waits of a shortest circle of actors who wait for each other, of those who are `parked` for the so manieth
    /// time. They are looked at one after the other while the rest runs on, and this thread may be kept from running for
    /// long; so only those count who are parked for the same time still once all has been read: they have not moved
    /// meanwhile, and what each one holds is what it held then.
    fn circle(&self, parked: &BTreeMap<ActorId, u64>) -> Option<Vec<Wait>> {
        let blockers = |id| self.waiting(id).map_or_else(Vec::new, |waiting| waiting.what.blockers(id));
        let waits_for: BTreeMap<ActorId, Vec<ActorId>> = parked.keys().map(|&id| (id, blockers(id))).collect();
        let circles = parked.keys().filter_map(|&start| circle_through(start, &waits_for));
        let circle = circles.min_by_key(Vec::len)?;
        let waits: Option<Vec<Wait>> = circle.iter().map(|&id| self.wait_of(id)).collect();
        waits.filter(|_| circle.iter().all(|id| self.park(*id) == parked.get(id).copied()))
    }

    fn waiting(&self, id: ActorId) -> Option<Waiting> {
        match &self.slot(id).inner.lock().state {
            State::Blocked(_, waiting, _) => Some(waiting.clone()),
            State::Running | State::Finished => None,
        }
    }

    fn wait_of(&self, id: ActorId) -> Option<Wait> {
        let inner = self.slot(id).inner.lock();
        let State::Blocked(_, waiting, path) = &inner.state else { return None };
        let name = |actor: ActorId| self.slots.get(actor.0 as usize).map_or("outside", |slot| slot.name.as_str());
        Some(waiting.describe(&self.slot(id).name, path, name))
    }

    /// Returns who has not ended, in words.
    fn busy(&self) -> Vec<String> {
        let describe = |(id, slot): (usize, &Slot)| {
            if matches!(slot.inner.lock().state, State::Finished) {
                return None;
            }
            let wait = self.wait_of(ActorId(id as u32));
            let what = wait.map_or_else(
                || "runs".to_owned(),
                |wait| format!("waits for {} in {}", wait.lock, wait.path.join(" > ")),
            );
            Some(format!("{} {what}", slot.name))
        };
        self.slots.iter().enumerate().filter_map(describe).collect()
    }
}

impl Slot {
    fn new(name: &str, rng: Rng) -> Self {
        let inner = Mutex::new(Inner { state: State::Running, woken: false, parks: 0 });
        let (turn, steps) = Default::default();
        Self { name: name.to_owned(), inner, turn, steps, rng: Mutex::new(rng) }
    }
}

impl Backend for Threads {
    fn step(&self, me: ActorId) {
        let slot = self.slot(me);
        slot.steps.store(slot.steps.load(Relaxed) + 1, Relaxed);
        self.check_stop();
        if slot.rng.lock().below(YIELD_ONE_IN) == 0 {
            thread::yield_now();
        }
    }

    fn sleep(&self, _me: ActorId, steps: u64) {
        self.check_stop();
        thread::sleep(STEP * u32::try_from(steps).unwrap_or(u32::MAX));
    }

    fn block(&self, me: ActorId, what: Arc<dyn Waitable>, mode: &'static str, path: Vec<&'static str>) {
        let slot = self.slot(me);
        {
            let mut inner = slot.inner.lock();
            inner.parks += 1;
            inner.state = State::Blocked(inner.parks, Waiting { what, mode }, path);
            while !inner.woken && !self.stopped.load(Relaxed) {
                slot.turn.wait(&mut inner);
            }
            inner.woken = false;
            inner.state = State::Running;
        }
        self.check_stop();
    }

    fn wake(&self, actor: ActorId) {
        if let Some(slot) = self.slots.get(actor.0 as usize) {
            slot.inner.lock().woken = true;
            slot.turn.notify_all();
        }
    }

    fn stop(&self) {
        self.stop_all(Stop::Found);
    }

    fn now(&self) -> Option<u64> {
        None
    }

    fn settles(&self, holds: &dyn Fn() -> bool) -> bool {
        (0..LOOKS).any(|_| {
            let now = holds();
            if !now {
                thread::yield_now();
            }
            now
        })
    }
}

/// Returns a shortest circle through `start`.
fn circle_through(start: ActorId, waits_for: &BTreeMap<ActorId, Vec<ActorId>>) -> Option<Vec<ActorId>> {
    let mut before = BTreeMap::new();
    let mut queue = std::collections::VecDeque::from([start]);
    while let Some(actor) = queue.pop_front() {
        for &next in waits_for.get(&actor)? {
            if next == start {
                let back = std::iter::successors(Some(actor), |actor| before.get(actor).copied());
                let mut circle: Vec<_> = back.collect();
                circle.reverse();
                return Some(circle);
            }
            if waits_for.contains_key(&next) && !before.contains_key(&next) {
                before.insert(next, actor);
                queue.push_back(next);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;
    use crate::{classes::I_RWSEM, sync::RwSem};

    /// Two actors who each take one lock, wait until the other has too, and want the other one.
    #[test]
    fn a_real_deadlock_is_told_and_ended() {
        let locks = [1, 2].map(|id| Arc::new(RwSem::new(&I_RWSEM, ("file", id))));
        let both = Arc::new(Barrier::new(2));
        let actor = |name: &str, first: usize| {
            let (mine, other, both) = (locks[first].clone(), locks[1 - first].clone(), both.clone());
            let body: Body = Box::new(move || {
                let _mine = mine.write();
                both.wait();
                let _other = other.read();
            });
            (name.to_owned(), body)
        };
        let bystander: Body = Box::new(|| (0..10).for_each(|_| crate::sched::sleep(1000)));
        let actors = vec![actor("one", 0), ("bystander".to_owned(), bystander), actor("two", 1)];
        let ran = Threads::run(1, Duration::from_secs(1), &Context::new(), actors);
        let Some(Stop::Deadlock(deadlock)) = ran.stop else { panic!("{:?}", ran.stop) };
        let waits: Vec<_> = deadlock.waits.iter().map(|w| (&*w.actor, &*w.lock, &*w.holders[0])).collect();
        assert_eq!(
            waits,
            [("one", "inode->i_rwsem of file 2", "two (write)"), ("two", "inode->i_rwsem of file 1", "one (write)")]
        );
    }

    #[test]
    fn who_panics_ends_the_run_and_is_named() {
        let actors: Vec<(String, Body)> = vec![
            (
                "good".to_owned(),
                Box::new(|| {
                    loop {
                        crate::sched::step()
                    }
                }),
            ),
            ("bad".to_owned(), Box::new(|| panic!("a bug"))),
        ];
        let ran = Threads::run(1, Duration::from_secs(1), &Context::new(), actors);
        assert_eq!(ran.stop, Some(Stop::Panic { actor: "bad".to_owned(), message: "a bug".to_owned() }));
    }

    /// What is made after whoever needs it.
    type Late = Arc<Mutex<Option<Arc<Threads>>>>;

    /// Somebody waits for this, and whom for changes while the watchdog looks.
    struct Moving {
        blocker: ActorId,
        /// Is parked anew by the look.
        moves: Option<(Late, ActorId)>,
    }

    impl Waitable for Moving {
        fn label(&self) -> String {
            "something".to_owned()
        }

        fn holders(&self) -> Vec<crate::sched::Holder> {
            Vec::new()
        }

        fn blockers(&self, _: ActorId) -> Vec<ActorId> {
            if let Some((threads, who)) = &self.moves
                && let Some(threads) = &*threads.lock()
                && let State::Blocked(park, ..) = &mut threads.slot(*who).inner.lock().state
            {
                *park += 1;
            }
            vec![self.blocker]
        }
    }

    #[test]
    fn whoever_moves_while_the_watchdog_looks_is_in_no_circle() {
        let circle = |moves: bool| {
            let link = Arc::new(Mutex::new(None));
            let slot = |id: u32| {
                let moves = (moves && id == 1).then(|| (link.clone(), ActorId(0)));
                let what = Arc::new(Moving { blocker: ActorId(1 - id), moves });
                let slot = Slot::new("actor", Rng::new(1));
                slot.inner.lock().state = State::Blocked(7, Waiting { what, mode: "write" }, Vec::new());
                slot
            };
            let slots = vec![slot(0), slot(1)];
            let threads = Arc::new(Threads { slots, stopped: AtomicBool::new(false), stop: Mutex::default() });
            *link.lock() = Some(threads.clone());
            let circle = threads.circle(&threads.parked());
            *link.lock() = None;
            circle.map(|waits| waits.len())
        };
        assert_eq!(circle(false), Some(2));
        assert_eq!(circle(true), None, "the first one has run meanwhile, and may have let go");
    }

    #[test]
    fn a_circle_is_of_those_who_wait_for_each_other() {
        let [a, b, c, d] = [0, 1, 2, 3].map(ActorId);
        let waits = BTreeMap::from([(a, vec![b]), (b, vec![d, c]), (c, vec![b]), (d, vec![ActorId(9)])]);
        assert_eq!(circle_through(a, &waits), None, "it waits for the circle, and is not in it");
        assert_eq!(circle_through(b, &waits), Some(vec![b, c]));
        assert_eq!(circle_through(d, &waits), None, "who runs will let go");
    }
}
