//! The runtime against the validator: random programs on real locks and real threads must be told exactly what the validator
//! says of the same events without any cache in front of it.

use std::{
    collections::BTreeMap,
    sync::mpsc::{self, Receiver, Sender},
    thread,
};

use lockdep::{
    Fingerprint, Grade, LockClass, Mode, Policy, RwLock, RwLockReadGuard, RwLockUpgradableReadGuard, RwLockWriteGuard,
    SIGNAL_HANDLER, Session, WaitType,
};
use lockdep_core::{
    ClassTraits, Event, Replay, SameClass,
    event::{Acquire, Action, Declared, Enter, Lock},
};

const LOCKS: usize = 8;
const CLASS_COUNT: usize = 5;
const THREADS: usize = 3;
const PROGRAMS: u64 = 120;
const OPERATIONS: usize = 150;

/// The locks beyond are of the last class, which learns their order.
static CLASSES: [LockClass; CLASS_COUNT] = [
    LockClass::new("differential a"),
    LockClass::new("differential b"),
    LockClass::new("differential c"),
    LockClass::new("differential d"),
    LockClass::new("differential e").learnt_order(),
];

fn class_of(lock: usize) -> &'static LockClass {
    &CLASSES[lock.min(CLASS_COUNT - 1)]
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) % bound as u64) as usize
    }
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Acquire {
        lock: usize,
        mode: Mode,
        trylock: bool,
    },
    Release(usize),
    /// A signal handler begins, or ends, with whatever it has acquired.
    Enter,
    Leave,
    Disable,
    Enable,
}

#[allow(dead_code, reason = "guards are there to be dropped")]
enum Guard<'a> {
    Write(RwLockWriteGuard<'a, ()>),
    Read(RwLockReadGuard<'a, ()>),
    Upgradable(RwLockUpgradableReadGuard<'a, ()>),
}

fn acquire(lock: &RwLock<()>, mode: Mode, trylock: bool) -> Option<Guard<'_>> {
    Some(match (mode, trylock) {
        (Mode::Exclusive, false) => Guard::Write(lock.write()),
        (Mode::Exclusive, true) => Guard::Write(lock.try_write()?),
        (Mode::Shared, false) => Guard::Read(lock.read()),
        (Mode::Shared, true) => Guard::Read(lock.try_read()?),
        (Mode::SharedRecursive, false) => Guard::Read(lock.read_recursive()),
        (Mode::SharedRecursive, true) => Guard::Read(lock.try_read_recursive()?),
        (Mode::Upgradable, false) => Guard::Upgradable(lock.upgradable_read()),
        (Mode::Upgradable, true) => Guard::Upgradable(lock.try_upgradable_read()?),
    })
}

/// A thread of the program: does what it is told, and says when it has.
fn work<'a>(session: &Session, locks: &'a [RwLock<()>], orders: Receiver<Op>, done: &Sender<()>) {
    session.enter(|| {
        let mut guards: Vec<(usize, Guard<'a>)> = Vec::new();
        let (mut inside, mut disabled) = (Vec::new(), Vec::new());
        for order in orders {
            match order {
                Op::Acquire { lock, mode, trylock } => {
                    guards.push((lock, acquire(&locks[lock], mode, trylock).expect("it is free")));
                }
                Op::Release(lock) => {
                    // The innermost of those that the thread has of this lock, as the records have it.
                    let index = guards.iter().rposition(|(held, _)| *held == lock).expect("it is held");
                    drop(guards.remove(index));
                }
                Op::Enter => inside.push(SIGNAL_HANDLER.enter()),
                Op::Leave => drop(inside.pop()),
                Op::Disable => disabled.push(SIGNAL_HANDLER.disable()),
                Op::Enable => drop(disabled.pop()),
            }
            done.send(()).unwrap();
        }
        // Before the signals are enabled again, which is no event of the program.
        drop(guards);
    });
}

/// Who holds what; says what would not block.
#[derive(Default)]
struct Model {
    held: [Vec<(usize, Mode)>; THREADS],
    /// Whether the program has signals, whether they have been watched, and by which threads that is known.
    signals: bool,
    watched: bool,
    knows: [bool; THREADS],
    inside: [u32; THREADS],
    disabled: [u32; THREADS],
}

impl Model {
    fn would_block(&self, lock: usize, mode: Mode) -> bool {
        let mut holders = self.held.iter().flatten().filter(|held| held.0 == lock).map(|held| held.1);
        holders.any(|held| {
            held == Mode::Exclusive || mode == Mode::Exclusive || (held, mode) == (Mode::Upgradable, Mode::Upgradable)
        })
    }

    fn signal(&mut self, thread: usize, random: &mut Random) -> Option<Op> {
        let (inside, disabled) = (&mut self.inside[thread], &mut self.disabled[thread]);
        match random.below(4) {
            0 if *inside + *disabled == 0 => {
                *inside += 1;
                self.watched = true;
                Some(Op::Enter)
            }
            1 if *inside > 0 => {
                *inside -= 1;
                Some(Op::Leave)
            }
            2 if *disabled < 2 => {
                *disabled += 1;
                Some(Op::Disable)
            }
            3 if *disabled > 0 => {
                *disabled -= 1;
                Some(Op::Enable)
            }
            _ => None,
        }
    }

    /// Returns an operation of a thread that does not block.
    fn next(&mut self, random: &mut Random) -> Option<(usize, Op)> {
        const MODES: [Mode; 4] = [Mode::Exclusive, Mode::Shared, Mode::SharedRecursive, Mode::Upgradable];
        let thread = random.below(THREADS);
        if self.signals && random.below(6) == 0 {
            return Some((thread, self.signal(thread, random)?));
        }
        if random.below(3) == 0 {
            let held = &mut self.held[thread];
            if held.is_empty() {
                return None;
            }
            let lock = held[random.below(held.len())].0;
            let innermost = held.iter().rposition(|held| held.0 == lock)?;
            held.remove(innermost);
            return Some((thread, Op::Release(lock)));
        }
        let (lock, mode) = (random.below(LOCKS), MODES[random.below(MODES.len())]);
        if self.would_block(lock, mode) || self.held[thread].len() > 4 {
            return None;
        }
        self.held[thread].push((lock, mode));
        Some((thread, Op::Acquire { lock, mode, trylock: random.below(5) == 0 }))
    }
}

/// How often each finding was made, and how bad it is.
type Findings = BTreeMap<Fingerprint, (Grade, u64)>;

/// Runs a program. Returns what the runtime found and what the validator does.
fn run(seed: u64) -> (Findings, Findings) {
    let model = Model { signals: seed % 2 == 1, ..Model::default() };
    let (mut random, mut model, mut replay) = (Random(seed), model, Replay::new());
    let locks: Vec<RwLock<()>> = (0..LOCKS).map(|lock| RwLock::new_in(class_of(lock), ())).collect();
    let learnt = ClassTraits { same_class: SameClass::Learnt, ..ClassTraits::default() };
    let declared = Declared { class: class_of(LOCKS).name().to_owned(), traits: learnt };
    replay.step(&Event::new("main", Action::Declare(declared))).expect("a sound trace");
    let session = Session::new(Policy::Collect);
    thread::scope(|scope| {
        let (say, done) = mpsc::channel();
        let workers: Vec<Sender<Op>> = (0..THREADS)
            .map(|_| {
                let (send, orders) = mpsc::channel();
                let (session, locks, say) = (&session, &locks, say.clone());
                scope.spawn(move || work(session, locks, orders, &say));
                send
            })
            .collect();
        for _ in 0..OPERATIONS {
            let Some((thread, op)) = model.next(&mut random) else { continue };
            workers[thread].send(op).unwrap();
            done.recv().unwrap();
            let name = format!("thread {thread}");
            let signal = || "signal".to_owned();
            // A thread learns that signals are watched when it next comes by the validator; a release does not.
            if model.watched && !model.knows[thread] && !matches!(op, Op::Release(_)) {
                model.knows[thread] = true;
                replay.step(&Event::new(&name, Action::Watch { contexts: vec![signal()] })).expect("a sound trace");
            }
            let action = match op {
                Op::Enter => Action::Enter(Enter { context: signal(), disables: None, limit: Some(WaitType::Any) }),
                Op::Leave => Action::Exit { context: signal() },
                Op::Disable => Action::Disable { context: signal() },
                Op::Enable => Action::Enable { context: signal() },
                Op::Acquire { lock, mode, trylock } => {
                    Action::Acquire(Acquire { trylock, ..Acquire::new(class_of(lock).name(), lock as u64 + 1, mode) })
                }
                Op::Release(lock) => Action::Release(Lock { class: None, instance: lock as u64 + 1 }),
            };
            replay.step(&Event::new(&name, action)).expect("a sound trace");
        }
    });
    let found = session.reports().into_iter().map(|report| {
        let times = session.times_seen(report.fingerprint);
        (report.fingerprint, (report.grade, times))
    });
    let expected = replay.reports().iter().map(|report| {
        let times = replay.times_seen(report.fingerprint);
        (report.fingerprint, (report.grade, times))
    });
    (found.collect(), expected.collect())
}

#[test]
fn caches_change_nothing() {
    let mut grades = BTreeMap::new();
    for seed in 0..PROGRAMS {
        let (found, expected) = run(seed);
        assert_eq!(found, expected, "program {seed}");
        found.values().for_each(|(grade, _)| *grades.entry(grade.as_str()).or_insert(0) += 1);
    }
    println!("{PROGRAMS} programs, findings by grade: {grades:?}");
    assert!(grades.len() > 2 && grades.values().all(|count| *count > 5), "the programs are one-sided: {grades:?}");
}
