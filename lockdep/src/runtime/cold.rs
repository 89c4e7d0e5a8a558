//! Everything an acquisition can lead to besides the fast path: a new point, a new dependency, a report.
//!
//! While a thread is in here, whatever this code causes on the way (an allocator, a logger, a subscriber with locks of
//! its own) is not watched. Only a panic waits until the thread is outside again.

use std::{
    panic::{AssertUnwindSafe, Location, catch_unwind},
    sync::atomic::{Ordering::SeqCst, compiler_fence},
};

use lockdep_core::{
    Acquired, Grade, HeldStack, Mode, Point, Proof, Report, Request, WaitKind,
    event::{Action, Lock},
    explain::dependency_record,
    journal::Record as Line,
};
use once_cell::sync::Lazy;
use parking_lot::Mutex;

use super::{
    budget, enter, findings, observe,
    output::{self, Verdict},
    placed::{self, Place},
    session::{Learnt, Session, Shared},
    state, summary,
    thread::{self, Thread},
    trace,
};
use crate::{Acquire, hooks::Record};

/// The names of threads, by number, from 1.
static THREADS: Lazy<Mutex<Vec<String>>> = Lazy::new(Default::default);

/// Returns the name of a thread.
pub(super) fn thread_name(number: u32) -> String {
    let index = (number as usize).wrapping_sub(1);
    THREADS.lock().get(index).cloned().unwrap_or_else(|| format!("thread-{number}"))
}

/// Returns how many threads have a number.
pub(super) fn thread_count() -> usize {
    THREADS.lock().len()
}

/// Brings a thread up to date with the process: environment read, number given, orphaned entries gone. Returns whether
/// checking is on.
fn attend(thread: &Thread, attended: u32) -> u32 {
    if state::load() != state::OFF && state::is_orphaned() {
        state::ATTENTION.switch_off();
        output::complain("forked from a process of several threads; checking is off in the child");
    }
    if state::load() == state::UNSET {
        // Reading the environment sets the state.
        let _ = Session::process();
    }
    if thread.number.get() == 0 {
        thread.number.set(number_thread(std::thread::current().name()));
        summary::print_at_end();
    }
    let state = state::ATTENTION.attend();
    if attended != state {
        // What is not there may be in a stack that the thread comes back to; if there is none, it went with a session.
        let gone = thread.depth.get() == 0;
        state::ATTENTION.adopt(thread.number.get(), |instance| take(thread, instance) || gone);
    }
    state
}

/// Returns a number for a thread of this name.
pub(super) fn number_thread(name: Option<&str>) -> u32 {
    state::thread_joins();
    let mut threads = THREADS.lock();
    let number = threads.len() + 1;
    threads.push(name.map_or_else(|| format!("thread-{number}"), str::to_owned));
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Checks and records an acquisition that the cache does not know. Returns whether somebody wants to see how the lock is got.
#[cold]
#[inline(never)]
#[track_caller]
pub(super) fn acquire(record: &Record, how: Acquire, site: &'static Location<'static>) -> bool {
    if thread::with(|thread| push_known(thread, record, how, site)) {
        return false;
    }
    acquire_placed(record, how, Place::of(record), site);
    observe::is_on()
}

/// As [`acquire`], with what the acquisition says of the lock's place within its class.
#[cold]
#[inline(never)]
#[track_caller]
pub(super) fn acquire_placed(record: &Record, how: Acquire, place: Place, site: &'static Location<'static>) {
    if !record.rules().tracked {
        return;
    }
    inside(|thread, session| {
        let attempt = Attempt::new(record, how, place, site);
        let verdict = attempt.check(thread, &session.0);
        if matches!(verdict, Verdict::GoOn) {
            attempt.push(&thread.held);
            observe::acquired(thread, session, &attempt);
        } else {
            observe::refused(thread, &attempt);
        }
        verdict
    })
    .carry_out();
}

/// Checks a wait for all who hold the lock, which is not held afterwards.
#[cold]
#[inline(never)]
#[track_caller]
pub(super) fn sync(record: &Record, how: Acquire, site: &'static Location<'static>) {
    if !record.rules().tracked {
        return;
    }
    inside(|thread, session| {
        let attempt = Attempt { sync: true, ..Attempt::new(record, how, Place::of(record), site) };
        observe::synced(thread, &attempt);
        attempt.check(thread, &session.0)
    })
    .carry_out();
}

/// Tells of a lock that is destroyed while this thread holds it, and takes it off the stack.
#[cold]
#[inline(never)]
#[track_caller]
pub(super) fn dropped(record: &Record) {
    let site = Location::caller();
    let Some(id) = record.known_id() else { return };
    let is_free = thread::with(|thread| {
        // Up to date, it knows what it holds.
        thread.attended.get() == state::load() && thread.held.find(id.instance()).is_none()
    });
    if is_free {
        return;
    }
    inside(|thread, session| {
        if thread.held.find(id.instance()).is_none() {
            return Verdict::GoOn;
        }
        trace::other(thread, None, || Action::Free(Lock { class: None, instance: id.instance() }));
        let learnt = session.0.learnt.lock();
        let violation = learnt.validator.free(&thread.held, id.instance());
        let how = Acquired::new(id.class(), Mode::Exclusive, false);
        let request = Request { how, instance: id.instance(), ..findings::at_place(thread, &session.0, Some(site)) };
        let verdict = findings::conclude(violation.as_slice(), &request, &thread.held, &session.0, learnt);
        thread.held.release(id.instance());
        verdict
    })
    .carry_out();
}

/// Pushes an acquisition that this thread has seen proven but not where the fast path looks: elsewhere in the table, on a
/// deep stack, of a lock that is new, of these very locks of one class. Returns whether it has. It takes no lock and no
/// memory, so it need not be inside.
fn push_known(thread: &Thread, record: &Record, how: Acquire, site: &'static Location<'static>) -> bool {
    if thread.attended.get() != state::load() || !record.rules().tracked {
        return false;
    }
    let Some(id) = record.id_at_hand() else { return false };
    let acquired = Acquired::new(id.class().nested(how.subclass), how.mode, how.trylock);
    let key = thread.held.key_with(acquired);
    let point = key.at(std::ptr::from_ref(site).addr() as u64);
    let within = || thread.held.point_within(acquired.class(), id.instance(), point);
    let known = thread.proven.find(point) || within().is_some_and(|exact| thread.proven.find_exact(exact));
    if known {
        thread.held.push_keyed(acquired, id.instance(), point, key);
    }
    known
}

/// Checks that a lock which this thread holds can be acquired again: to be upgraded, or after a wait.
#[cold]
#[inline(never)]
#[track_caller]
pub(super) fn again(record: &Record, wait: WaitKind, site: &'static Location<'static>) {
    inside(|thread, session| {
        let Some(id) = record.known_id() else { return Verdict::GoOn };
        let Some(held) = thread.held.find(id.instance()) else { return Verdict::GoOn };
        let mode = if wait == WaitKind::Upgrade { Mode::Exclusive } else { held.mode() };
        let place = Place { rank: thread.held.rank(id.instance()), nest: None };
        let acquired = Acquired::new(held.class(), mode, false);
        let attempt = Attempt { record, acquired, wait, place, site, sync: false };
        if wait == WaitKind::Upgrade {
            let verdict = attempt.check(thread, &session.0);
            thread.held.set_mode(id.instance(), mode);
            observe::upgraded(thread, &attempt);
            return verdict;
        }
        observe::releasing(thread, held);
        thread.held.release(id.instance());
        let verdict = attempt.check(thread, &session.0);
        // Whatever was found, the guard is still there, and the lock is held again when the wait is over.
        attempt.push(&thread.held);
        observe::acquired(thread, session, &attempt);
        verdict
    })
    .carry_out();
}

/// Takes a lock off the stack from under others, if nothing more need be done. Returns whether it has.
///
/// This is how locks are coupled, so it is done as [`Inside`], but without what a stack with nothing special above its floor
/// has no need of.
fn pull(thread: &Thread, instance: u64) -> bool {
    // Inside, and while somebody wants to see everything, the stack is frozen; but a signal may have come on the way inside.
    let Some(floor) = thread.held.floor() else { return false };
    let inside = thread.inside.replace(true);
    let attended = thread.attended.replace(state::UNSET);
    compiler_fence(SeqCst);
    let pulled = thread.held.pull(instance, floor);
    compiler_fence(SeqCst);
    thread.inside.set(inside);
    thread.attended.set(attended);
    pulled
}

/// Takes a lock off the stack; returns whether it was there.
fn take(thread: &Thread, instance: u64) -> bool {
    unwatched(|| {
        if observe::is_on()
            && let Some(lock) = thread.held.find(instance)
        {
            observe::releasing(thread, lock);
        }
        thread.held.release(instance).is_some()
    })
}

/// Takes the lock off the stack of the thread numbered `holder`, which acquired it.
#[cold]
#[inline(never)]
pub(super) fn release_for(instance: u64, holder: u32) {
    let own = thread::number() == holder;
    if own && thread::with(|thread| pull(thread, instance)) {
        return;
    }
    let verdict = if own { placed::check_release(instance) } else { Verdict::GoOn };
    thread::with(|thread| {
        // Inside the runtime nothing is recorded, and neither is it for a thread without a number. What a thread does not
        // hold in the only stack that it has, it acquired unwatched.
        let elsewhere = || !own || (!take(thread, instance) && thread.depth.get() > 0);
        if !thread.inside.get() && holder != 0 && elsewhere() {
            unwatched(|| state::ATTENTION.orphan(holder, instance));
        }
    });
    verdict.carry_out();
}

/// Brings this thread up to date, and gives it a number if it has none.
#[cold]
pub(super) fn introduce() {
    let _ = inside(|_, _| Verdict::GoOn);
}

/// Takes the lock off the stack of this thread, and reports it if it is not there.
#[cold]
#[inline(never)]
#[track_caller]
pub(super) fn release(record: &Record, instance: u64, site: &'static Location<'static>) {
    if thread::with(|thread| pull(thread, instance)) {
        return;
    }
    let verdict = placed::check_release(instance);
    if thread::with(|thread| !thread.inside.get() && !take(thread, instance)) {
        findings::release_unheld(record, site).carry_out();
    }
    verdict.carry_out();
}

/// Marks a thread as inside the runtime, until it is dropped.
///
/// A signal may arrive between any two steps, and its handler take locks. So the fast path is closed before anything else
/// is, and opened after everything else.
struct Inside<'a> {
    thread: &'a Thread,
    attended: u32,
}

impl<'a> Inside<'a> {
    /// Returns `None` if the thread is inside already.
    fn enter(thread: &'a Thread) -> Option<Self> {
        if thread.inside.replace(true) {
            return None;
        }
        let attended = thread.attended.replace(state::UNSET);
        thread.held.freeze();
        Some(Self { thread, attended })
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        if !observe::is_on() {
            self.thread.held.thaw();
        }
        self.thread.inside.set(false);
        self.thread.attended.set(if observe::is_on() { state::UNSET } else { self.attended });
    }
}

/// Runs `f` as if inside the runtime: what it causes is not watched. For whatever takes the locks of the runtime, or
/// allocates under them, on behalf of the program.
pub(crate) fn unwatched<R>(f: impl FnOnce() -> R) -> R {
    thread::with(|thread| {
        let _inside = Inside::enter(thread);
        f()
    })
}

/// Runs `f` inside the runtime, unless the thread is inside already or checking is off.
pub(super) fn inside(f: impl FnOnce(&Thread, &Session) -> Verdict) -> Verdict {
    thread::with(|thread| {
        let Some(mut inside) = Inside::enter(thread) else { return Verdict::GoOn };
        let state = attend(thread, inside.attended);
        inside.attended = state::UNSET;
        if state == state::OFF {
            return Verdict::GoOn;
        }
        let work = |session: &Session| match enter::catch_up(thread, &session.0) {
            Verdict::GoOn => f(thread, session),
            told => told,
        };
        let result = Session::of(thread, |session| catch_unwind(AssertUnwindSafe(|| work(session))));
        let Some(result) = result else { return Verdict::GoOn };
        inside.attended = state;
        result.unwrap_or_else(|_| {
            // Our bug must not become the host's.
            state::ATTENTION.switch_off();
            output::complain("internal error (a bug of lockdep, not of the program); checking is off from now on");
            Verdict::GoOn
        })
    })
}

/// An acquisition about to be made.
pub(super) struct Attempt<'a> {
    pub(super) record: &'a Record,
    pub(super) acquired: Acquired,
    wait: WaitKind,
    pub(super) place: Place,
    pub(super) site: &'static Location<'static>,
    /// Whether the lock is not held afterwards.
    sync: bool,
}

impl<'a> Attempt<'a> {
    fn new(record: &'a Record, how: Acquire, place: Place, site: &'static Location<'static>) -> Self {
        let acquired = Acquired::new(record.id().class().nested(how.subclass), how.mode, how.trylock);
        Self { record, acquired, wait: how.mode.wait(), place, site, sync: false }
    }
}

impl Attempt<'_> {
    fn push(&self, held: &HeldStack) {
        let instance = self.record.id().instance();
        held.push(self.acquired, instance, self.point(held));
        if let Some(rank) = self.place.rank {
            held.set_rank(instance, rank);
        }
        if let Some(nest) = self.place.nest {
            held.set_nest(instance, nest);
        }
    }

    fn point(&self, held: &HeldStack) -> Point {
        held.key_with(self.acquired).at(std::ptr::from_ref(self.site).addr() as u64)
    }

    /// Finds the acquisition proven, or proves it, or reports it.
    fn check(&self, thread: &Thread, session: &Shared) -> Verdict {
        let point = self.point(&thread.held);
        // An upgrade is at the same point as an acquisition in its mode, and is not proven by it. Neither is what depends
        // on another lock.
        let cacheable = self.wait != WaitKind::Upgrade && self.place.nest.is_none();
        let segment = thread.segment.get();
        let known = session.points.is_proven(point, segment);
        if cacheable && known == Some(true) {
            thread.proven.insert(point);
            return Verdict::GoOn;
        }
        let origin = session.meet(point, self.site);
        let mut learnt = session.learnt.lock();
        let (proof, news) = self.validate(thread, session, point, &mut learnt);
        let policy = learnt.policy_for(&news);
        match proof {
            Proof::Chain if cacheable => {
                session.points.prove(point, segment, origin);
                thread.proven.insert(point);
            }
            Proof::Locks if cacheable => {
                let within = thread.held.point_within(self.acquired.class(), self.record.id().instance(), point);
                within.into_iter().for_each(|exact| thread.proven.insert_exact(exact));
            }
            _ => {}
        }
        drop(learnt);
        // A subscriber may wait for other threads, so nothing is held here that those might wait for.
        output::tell(&news, policy)
    }

    fn validate(&self, thread: &Thread, session: &Shared, point: Point, learnt: &mut Learnt) -> (Proof, Vec<Report>) {
        let spans = session.span_count();
        let request = Request {
            wait: self.wait,
            orders_instances: self.record.orders_instances(),
            nest: self.place.nest,
            rank: self.place.rank,
            precedes: self.record.rules().precedes,
            sync: self.sync,
            thread: thread.number.get(),
            segment: thread.segment.get(),
            span: session.span(),
            ..Request::new(self.acquired, self.record.id().instance(), point)
        };
        learnt.meet(self.acquired.class(), self.record.rules().traits);
        let outcome = learnt.validator.acquire(&thread.held, &request);
        session.charge(budget::DEPENDENCY * outcome.learnt.len());
        if !outcome.witnessed && outcome.violations.is_empty() {
            // A span may never come again; nobody needs its name.
            session.forget_spans(spans);
        }
        for (step, witness) in &outcome.learnt {
            learnt.append(|| Line::Dependency(dependency_record(step, witness, session)));
        }
        let mut news =
            findings::report(&outcome.violations, outcome.witnessed, &request, &thread.held, session, learnt);
        news.extend(findings::regrade(&outcome.regraded, &request, &thread.held, session, learnt));
        let gates = news.iter().any(|report| report.grade == Grade::Gated);
        // What is proven under a lock that gates is proven for that lock only.
        let doubted = gates && findings::doubt_gates(&outcome.violations, session, learnt);
        if outcome.crowded {
            session.doubt();
        }
        (if doubted || outcome.crowded { Proof::None } else { outcome.proof }, news)
    }
}
