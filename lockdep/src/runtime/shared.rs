//! [`Shared`]: what the threads of a session share, and in it what is [`Learnt`], behind the validator's own lock.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use lockdep_core::{
    ClassId, ClassTraits, ContextId, Evidence, FailOn, Fingerprint, Frame, Grade, Point, Report, Site, Validator,
    journal::{ClassRecord, Record},
};
use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    budget::{self, Budget, Dropped},
    classes, context_id,
    counters::Tables,
    journal::JournalFile,
    names,
    output::complain,
    points::Points,
    rules::USUAL,
    span::{self, Spans},
    stack::{self, StackId, StackTable},
    state,
};
use crate::Policy;

/// The number of the process's own session.
pub(super) const PROCESS: u32 = 0;

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
    pub(super) classes: Vec<ClassId>,
    known: FxHashSet<ClassId>,
    /// How often each finding was made, and its worst grade.
    pub(super) seen: FxHashMap<Fingerprint, (u64, Grade)>,
    /// The findings that nobody has taken out yet.
    pub(super) reports: Vec<Report>,
    pub(super) journal: Option<JournalFile>,
}

impl Shared {
    /// What a session has that has learnt nothing.
    pub(super) fn new(id: u32, policy: Policy) -> Arc<Self> {
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
        Arc::new(Self {
            id,
            points: Points::default(),
            stacks: Mutex::default(),
            learnt: Mutex::new(learnt),
            spans: Mutex::default(),
            watched: AtomicU64::new(0),
            statistics: Tables::default(),
            budget: Budget::default(),
        })
    }

    /// Returns its number.
    pub(super) const fn number(&self) -> u32 {
        self.id
    }

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

pub(super) fn class_record(class: ClassId) -> ClassRecord {
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
        names::thread_name(thread)
    }

    fn span(&self, span: u32) -> Option<String> {
        self.spans.lock().text(span)
    }

    fn context(&self, context: ContextId) -> String {
        context_id::name(context)
    }
}
