//! [`Session`]: a validator with everything that belongs to it.

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};

use lockdep_core::{
    ClassId, ClassListing, ClassTraits, ContextId, Evidence, FailOn, Fingerprint, Frame, Grade, Journal, Point, Report,
    Site, Validator,
    explain::dependency_record,
    journal::{ClassRecord, Record},
    stats::ClassStats,
};
use once_cell::sync::Lazy;
use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    budget::{self, Budget, Dropped},
    classes, cold, contexts, enter,
    journal::JournalFile,
    observe,
    output::complain,
    points::Points,
    rules::USUAL,
    settings::Settings,
    span::{self, Spans},
    stack::{self, StackId, StackTable},
    state,
    statistics::{self, Tables},
    summary::{self, Summary},
    thread, trace,
};
use crate::Policy;

/// A validator of its own, for the threads that enter it.
///
/// The process has one, to which every thread belongs at first. A session of your own starts from nothing, keeps its
/// findings to itself, and so lets tests run side by side. Clones are the same session.
///
/// ```
/// use lockdep::{Mutex, Policy, Session};
///
/// let (a, b) = (Mutex::new(0), Mutex::new(0));
/// let session = Session::new(Policy::Collect);
/// session.enter(|| {
///     drop((a.lock(), b.lock()));
///     drop((b.lock(), a.lock()));
/// });
/// assert_eq!(session.reports().len(), 1);
/// ```
#[derive(Clone, Debug)]
pub struct Session(pub(super) Arc<Shared>);

/// What the threads of a session share.
#[derive(Debug)]
pub(super) struct Shared {
    id: u32,
    /// What is known of acquisition points. A proven one is checked once more by each thread that comes along, as a witness.
    pub(super) points: Points<Origin>,
    pub(super) stacks: Mutex<StackTable>,
    pub(super) learnt: Mutex<Learnt>,
    spans: Mutex<Spans>,
    /// The contexts that can interrupt its threads.
    watched: AtomicU64,
    pub(super) statistics: Tables,
    pub(super) budget: Budget,
}

/// Where an acquisition point comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) location: &'static std::panic::Location<'static>,
    pub(super) stack: StackId,
}

/// What is behind the validator's own lock.
#[derive(Debug)]
pub(super) struct Learnt {
    pub(super) validator: Validator,
    pub(super) policy: Policy,
    /// Which grades do as the policy says; the others are printed at the most.
    pub(super) fail_on: FailOn,
    /// Classes met, in the order in which they were met.
    classes: Vec<ClassId>,
    known: FxHashSet<ClassId>,
    /// How often each finding was made, and its worst grade.
    seen: FxHashMap<Fingerprint, (u64, Grade)>,
    reports: Vec<Report>,
    journal: Option<JournalFile>,
}

static NEXT: AtomicU32 = AtomicU32::new(thread::PROCESS + 1);
static PROCESS: Lazy<Session> = Lazy::new(|| {
    let settings = Settings::from_environment();
    settings.complaints.iter().for_each(|text| complain(text));
    state::ATTENTION.start(settings.on);
    let session = Session::with(thread::PROCESS, settings.policy);
    session.0.learnt.lock().fail_on = settings.fail_on;
    if settings.on {
        session.0.budget.set_limit(settings.budget);
        observe::set(observe::STATISTICS, settings.statistics);
        observe::set(observe::HELD_TABLE, settings.held_table);
        summary::WANTED.store(settings.summary || settings.statistics, Relaxed);
        if let Some(path) = &settings.trace
            && let Err(message) = trace::start(path)
        {
            complain(&message);
        }
    }
    if let Some(directory) = settings.journal.filter(|_| settings.on) {
        match JournalFile::create(&directory) {
            Ok(journal) => session.0.learnt.lock().journal = Some(journal),
            Err(message) => complain(&message),
        }
    }
    session
});

impl Session {
    /// A session that has learnt nothing.
    pub fn new(policy: Policy) -> Self {
        cold::unwatched(|| {
            Lazy::force(&PROCESS);
            Self::with(NEXT.fetch_add(1, Relaxed), policy)
        })
    }

    fn with(id: u32, policy: Policy) -> Self {
        let learnt = Learnt {
            validator: Validator::with_usual(USUAL),
            policy,
            fail_on: FailOn::default(),
            classes: Vec::new(),
            known: FxHashSet::default(),
            seen: FxHashMap::default(),
            reports: Vec::new(),
            journal: None,
        };
        Self(Arc::new(Shared {
            id,
            points: Points::default(),
            stacks: Mutex::default(),
            learnt: Mutex::new(learnt),
            spans: Mutex::default(),
            watched: AtomicU64::new(0),
            statistics: Tables::default(),
            budget: Budget::default(),
        }))
    }

    /// Returns the process's own session.
    pub fn process() -> Self {
        cold::unwatched(|| PROCESS.clone())
    }

    /// Calls `f` with the session that this thread is in. Call it inside. Returns `None` if a signal handler has
    /// interrupted the thread on its way from one session to another.
    pub(super) fn of<R>(thread: &thread::Thread, f: impl FnOnce(&Self) -> R) -> Option<R> {
        let entered = thread.session.try_borrow().ok()?;
        Some(f(entered.as_ref().unwrap_or_else(|| Lazy::force(&PROCESS))))
    }

    pub(super) fn number(&self) -> u32 {
        self.0.id
    }

    /// Runs `f`; what this thread acquires in it goes to this session, as if it held nothing outside.
    ///
    /// Other threads must enter for themselves.
    pub fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        let _back = enter::enter(self.clone());
        f()
    }

    /// Sets what a report does from now on.
    pub fn set_policy(&self, policy: Policy) {
        cold::unwatched(|| self.0.learnt.lock().policy = policy);
    }

    /// Returns the findings so far, in order. Each is there once, however often it was made.
    pub fn reports(&self) -> Vec<Report> {
        cold::unwatched(|| self.0.learnt.lock().reports.clone())
    }

    /// Returns the findings since the last call, in order.
    pub fn take_reports(&self) -> Vec<Report> {
        cold::unwatched(|| std::mem::take(&mut self.0.learnt.lock().reports))
    }

    /// Returns how often a finding was made.
    pub fn times_seen(&self, fingerprint: Fingerprint) -> u64 {
        cold::unwatched(|| self.0.learnt.lock().seen.get(&fingerprint).map_or(0, |(times, _)| *times))
    }

    /// Returns the lock statistics, the classes with the longest waits first. There are none unless
    /// [`set_statistics`](crate::set_statistics) or `LOCKDEP=stat` switched them on.
    pub fn statistics(&self) -> Vec<ClassStats> {
        cold::unwatched(|| statistics::read(&self.0))
    }

    /// Forgets the lock statistics so far.
    pub fn clear_statistics(&self) {
        cold::unwatched(|| self.0.budget.refund(self.0.statistics.clear()));
    }

    /// Returns what every class is known for, in the order in which they were met.
    ///
    /// # Complexity
    ///
    /// A search of all dependencies for every class.
    pub fn classes(&self) -> Vec<ClassListing> {
        cold::unwatched(|| {
            let learnt = self.0.learnt.lock();
            lockdep_core::listing::list(&learnt.validator, learnt.classes.iter().copied(), &*self.0)
        })
    }

    /// Returns what came of the session so far.
    pub fn summary(&self) -> Summary {
        cold::unwatched(|| Summary::of(self))
    }

    /// Limits the memory of this session, in bytes, approximately. When it is reached, statistics are dropped and then
    /// stacks, never what is learnt and checked. The [summary](Self::summary) says what was dropped.
    pub fn set_memory_budget(&self, bytes: usize) {
        self.0.budget.set_limit(bytes);
        cold::unwatched(|| self.0.charge(0));
    }

    /// Returns everything learnt so far, as a journal of `program`.
    pub fn journal(&self, program: &str) -> Journal {
        cold::unwatched(|| self.journal_of(program))
    }

    fn journal_of(&self, program: &str) -> Journal {
        let learnt = self.0.learnt.lock();
        let mut journal = Journal::new(program);
        journal.classes = learnt.classes.iter().map(|&class| class_record(class)).collect();
        let dependencies = learnt.validator.dependencies().dependencies();
        journal.dependencies =
            dependencies.map(|(step, witness)| dependency_record(&step, witness, &*self.0)).collect();
        journal.reports = learnt.reports.clone();
        journal
    }
}

impl Shared {
    /// Returns the number of the span that this thread is in; 0 is none.
    pub(super) fn span(&self) -> u32 {
        span::current().map_or(0, |text| self.spans.lock().intern(text))
    }

    /// Returns how many spans are known.
    pub(super) fn span_count(&self) -> usize {
        self.spans.lock().len()
    }

    /// Forgets the spans beyond the first `len`, of which nothing was kept. Call it with the validator locked since then.
    pub(super) fn forget_spans(&self, len: usize) {
        self.spans.lock().truncate(len);
    }
}

impl Shared {
    /// Returns the number of this thread's stack, captured now.
    pub(super) fn capture(&self) -> StackId {
        if self.budget.dropped() == Dropped::Stacks {
            return StackId::NONE;
        }
        let addresses = stack::capture();
        let bytes = 2 * size_of_val(&addresses[..]) + budget::STACK;
        let (id, new) = self.stacks.lock().intern(addresses);
        if new {
            self.charge(bytes);
        }
        id
    }

    /// Remembers where a point comes from that may be new, with this thread's stack. Returns that.
    pub(super) fn meet(&self, point: Point, location: &'static std::panic::Location<'static>) -> Origin {
        self.points.origin(point).unwrap_or_else(|| {
            let origin = Origin { location, stack: self.capture() };
            self.points.meet(point, origin);
            self.charge(budget::POINT);
            origin
        })
    }

    /// Counts memory, and gives up what the budget says.
    pub(super) fn charge(&self, bytes: usize) {
        match self.budget.charge(bytes) {
            Dropped::Nothing => {}
            Dropped::Statistics => {
                self.budget.gave_up(self.statistics.clear());
                // If they were not in the way, stacks are.
                self.charge(0);
            }
            Dropped::Stacks => self.budget.gave_up(self.stacks.lock().close()),
        }
    }

    /// Nothing counts as proven any more. Call it with `learnt` locked, as those do who prove.
    pub(super) fn doubt(&self) {
        self.points.doubt();
        state::ATTENTION.advance();
    }

    /// Watches contexts. Returns whether any of them is new.
    pub(super) fn watch(&self, contexts: u64) -> bool {
        self.watched.fetch_or(contexts, Relaxed) & contexts != contexts
    }

    /// Returns the contexts that are watched.
    pub(super) fn watched(&self) -> u64 {
        self.watched.load(Relaxed)
    }
}

impl Learnt {
    /// Counts a finding. Returns whether it is the first of its kind.
    pub(super) fn count(&mut self, fingerprint: Fingerprint) -> bool {
        let (times, _) = self.seen.entry(fingerprint).or_default();
        *times += 1;
        *times == 1
    }

    /// Returns how often each finding was made, and its worst grade.
    pub(super) fn grades(&self) -> impl Iterator<Item = (u64, Grade)> {
        self.seen.values().copied()
    }

    /// Returns how many classes were met.
    pub(super) fn class_count(&self) -> usize {
        self.classes.len()
    }

    /// Returns the grade of a finding so far, and whether it fails the run.
    pub(super) fn known_grade(&self, fingerprint: Fingerprint) -> Option<(Grade, bool)> {
        self.seen.get(&fingerprint).map(|(_, grade)| (*grade, self.fail_on.fails(*grade)))
    }

    /// Returns what these reports do: those that do not fail a run are printed where others panic or abort.
    pub(super) fn policy_for(&self, reports: &[Report]) -> Policy {
        match self.policy {
            Policy::Panic | Policy::Abort if !reports.iter().any(|report| self.fail_on.fails(report.grade)) => {
                Policy::Print
            }
            policy => policy,
        }
    }

    /// Keeps a report; if it is known and has got worse, in its old place.
    pub(super) fn keep(&mut self, report: Report) {
        self.append(|| Record::Report(Box::new(report.clone())));
        self.seen.entry(report.fingerprint).or_default().1 = report.grade;
        match self.reports.iter_mut().find(|known| known.fingerprint == report.fingerprint) {
            Some(known) => *known = report,
            None => self.reports.push(report),
        }
    }

    /// A finding that was told, and that fails the run anyhow, has got worse: whoever looks at it from now on sees that.
    pub(super) fn worsen(&mut self, report: Report) {
        self.append(|| Record::Report(Box::new(report.clone())));
        self.seen.entry(report.fingerprint).or_default().1 = report.grade;
        if let Some(known) = self.reports.iter_mut().find(|known| known.fingerprint == report.fingerprint) {
            *known = report;
        }
    }

    /// Keeps a class that may be new.
    pub(super) fn meet(&mut self, class: ClassId, traits: ClassTraits) {
        if self.known.insert(class) {
            if traits != USUAL {
                self.validator.declare(class, traits);
            }
            self.classes.push(class);
            self.append(|| Record::Class(class_record(class)));
        }
    }

    /// Appends a record to the journal, if there is one.
    pub(super) fn append(&mut self, record: impl FnOnce() -> Record) {
        let Some(journal) = &mut self.journal else { return };
        if let Err(message) = journal.append(&record()) {
            complain(&format!("{message}; it ends here"));
            self.journal = None;
        }
    }
}

fn class_record(class: ClassId) -> ClassRecord {
    let (site, explicit) = classes::origin(class);
    ClassRecord { id: class.as_u32(), name: classes::label(class), explicit, site }
}

impl Evidence for Shared {
    fn class(&self, class: ClassId) -> String {
        classes::label(class)
    }

    fn site(&self, point: Point) -> Option<Site> {
        self.points.origin(point).map(|origin| classes::site_of(origin.location))
    }

    fn stack(&self, point: Point) -> Vec<Frame> {
        let Some(origin) = self.points.origin(point) else { return Vec::new() };
        let addresses = self.stacks.lock().addresses(origin.stack);
        stack::resolve(&addresses)
    }

    fn thread(&self, thread: u32) -> String {
        cold::thread_name(thread)
    }

    fn span(&self, span: u32) -> Option<String> {
        self.spans.lock().text(span)
    }

    fn context(&self, context: ContextId) -> String {
        contexts::name(context)
    }
}
