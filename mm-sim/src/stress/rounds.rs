//! [`Rounds`]: machines on real threads, one after the other, with everything that lockdep has learnt on those before.

use std::{
    collections::BTreeMap,
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::{
    check,
    machine::Machine,
    scenario::Plan,
    sched::{Body, Context, Stop, Threads},
    world::World,
};

/// What a stress run has done so far.
pub(super) struct Rounds {
    seed: u64,
    pub(super) context: Context,
    pub(super) tally: Arc<Tally>,
    /// Scheduling points passed, and waits for locks.
    pub(super) steps: u64,
    pub(super) waits: u64,
    /// Machines so far, and the most actors of one.
    pub(super) machines: u64,
    pub(super) actors: u32,
    /// How long the actors ran, and what they took of the processors, where the system tells it; in seconds.
    pub(super) seconds: f64,
    pub(super) cpu: Option<f64>,
    pub(super) stop: Option<Stop>,
}

impl Rounds {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            context: Context::new(),
            tally: Arc::default(),
            steps: 0,
            waits: 0,
            machines: 0,
            actors: 0,
            seconds: 0.0,
            cpu: Some(0.0),
            stop: None,
        }
    }

    /// Returns what tells how far it is, while it runs.
    pub(super) fn watch(&self) -> Watch {
        Watch { tally: self.tally.clone(), context: self.context.clone() }
    }

    /// Returns whether anything has been found.
    pub(super) fn has_findings(&self) -> bool {
        self.stop.is_some() || self.context.findings.count() > 0 || !self.context.session.reports().is_empty()
    }

    /// Sets the stage, lets the actors act, who should end within `time`, and looks at the machine at rest and at its end.
    pub(super) fn play(&mut self, world: &World, time: Duration, build: impl FnOnce(&World) -> Plan + Send + 'static) {
        world.machine.model.switch_off();
        self.machines += 1;
        *self.tally.now.lock() = Some(world.machine.clone());
        let plan = Arc::new(Mutex::new(None::<Plan>));
        let (stage, into) = (world.clone(), plan.clone());
        let init = move || {
            let built = build(&stage);
            *into.lock() = Some(built);
        };
        self.round(time, vec![("init".to_owned(), Box::new(init))]);
        let Plan { actors, processes } = plan.lock().take().unwrap_or_default();
        self.actors = self.actors.max(actors.len() as u32);
        let (start, cpu) = (Instant::now(), cpu_seconds());
        self.round(time, actors);
        self.seconds += start.elapsed().as_secs_f64();
        let used = cpu_seconds().zip(cpu).map(|(after, before)| after - before);
        self.cpu = self.cpu.zip(used).map(|(all, used)| all + used);
        // Of what comes now nothing is counted.
        self.tally.end_machine();
        let machine = world.machine.clone();
        let exit = move || {
            check::at_rest(&machine);
            processes.into_iter().for_each(|process| process.exit());
            check::at_end(&machine);
        };
        self.round(time, vec![("exit".to_owned(), Box::new(exit))]);
    }

    fn round(&mut self, time: Duration, actors: Vec<(String, Body)>) {
        if self.stop.is_none() && !actors.is_empty() {
            let ran = Threads::run(self.seed, time, &self.context, actors);
            self.steps += ran.steps;
            self.waits += ran.waits;
            self.stop = ran.stop;
        }
    }
}

/// How often operations went which way, on all machines.
#[derive(Default)]
pub(super) struct Tally {
    past: Mutex<BTreeMap<&'static str, u64>>,
    now: Mutex<Option<Arc<Machine>>>,
}

impl Tally {
    fn end_machine(&self) {
        let mut past = self.past.lock();
        for (name, count) in self.now.lock().take().iter().flat_map(|machine| machine.stats.to_map()) {
            *past.entry(name).or_default() += count;
        }
    }

    /// Takes the counts out.
    pub(super) fn take(&self) -> BTreeMap<&'static str, u64> {
        mem::take(&mut *self.past.lock())
    }
}

/// Tells how far a stress run is.
pub(super) struct Watch {
    tally: Arc<Tally>,
    context: Context,
}

impl Watch {
    /// Returns how many page faults there have been.
    pub(super) fn faults(&self) -> u64 {
        let past = self.tally.past.lock();
        let of_past = |name| past.get(name).copied().unwrap_or(0);
        let now = self.tally.now.lock();
        let of_now = now.as_ref().map_or(0, |machine| {
            machine.stats.faults_under_vma_lock.get() + machine.stats.faults_under_mmap_lock.get()
        });
        of_past("faults_under_vma_lock") + of_past("faults_under_mmap_lock") + of_now
    }

    /// Returns how many invariants have been broken.
    pub(super) fn broken(&self) -> usize {
        self.context.findings.count()
    }
}

/// Returns the processor time of this process so far, in seconds, as Linux tells it.
fn cpu_seconds() -> Option<f64> {
    /// The system's ticks a second, in `/proc`.
    const TICKS: f64 = 100.0;
    /// Fields between the program's name and the time in user mode.
    const BEFORE: usize = 11;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks = fields.split_whitespace().skip(BEFORE).take(2).map(|ticks| ticks.parse::<f64>().ok());
    Some(ticks.sum::<Option<f64>>()? / TICKS)
}
