//! [`Replay`]: a trace run through the validator, offline: everything that a process would have been told.
//!
//! One held stack per thread of the trace, one validator for all; the [`Evidence`](crate::Evidence) is what the
//! trace says. Key type: [`Replay`]; in come [`Event`]s, out come [`Report`]s, each finding once. A region is a
//! pseudo lock that nobody blocks on for certain: entering it and being about to enter it both count as acquiring it.

mod names;

use std::collections::HashMap;

use crate::{
    class::{ClassId, Site},
    context::ContextSet,
    event::{self, Acquire, Action, Enter, Event, Lock},
    held::{Acquired, HeldStack, Point},
    journal::JournalError,
    listing::ClassListing,
    mode::{Mode, WaitKind},
    report::{Fingerprint, Report},
    request::Request,
    segment::SegmentId,
    validator::Validator,
    violation::Violation,
};

use names::Names;

/// A thread of a trace.
#[derive(Debug, Default)]
struct Thread {
    held: HeldStack,
    segment: SegmentId,
    span: u32,
    barred: HashMap<String, u32>,
}

/// A trace being run through a validator.
///
/// ```
/// use lockdep_core::Replay;
///
/// let trace = r#"{"event":"trace","version":1,"program":"p"}
/// {"event":"acquire","class":"a","instance":1}
/// {"event":"acquire","class":"b","instance":2}
/// {"event":"release","instance":2}
/// {"event":"release","instance":1}
/// {"event":"acquire","class":"b","instance":2}
/// {"event":"acquire","class":"a","instance":1}
/// "#;
/// let replay = Replay::parse("p.trace", trace.as_bytes()).unwrap();
/// assert_eq!(replay.reports()[0].code.as_str(), "circular-dependency");
/// ```
#[derive(Debug, Default)]
pub struct Replay {
    validator: Validator,
    threads: Vec<Thread>,
    names: Names,
    seen: HashMap<Fingerprint, u64>,
    reports: Vec<Report>,
    cut_line: Option<usize>,
}

impl Replay {
    /// A replay of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replays a whole trace. `file` is the name that errors give it.
    ///
    /// # Errors
    ///
    /// If the first line is no header, the version is unknown, a line is no event, or an event cannot follow those
    /// before it. A last line without line feed that is no event has been cut, and is left out.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, JournalError> {
        let error = |line, reason: String| JournalError { file: file.to_owned(), line, reason };
        let mut replay = Self::new();
        let mut empty = true;
        for (index, raw) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
            if raw.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let event: Event = match serde_json::from_slice(raw) {
                Ok(event) => event,
                Err(_) if empty => return Err(error(index + 1, NO_HEADER.to_owned())),
                Err(_) if !raw.ends_with(b"\n") => {
                    replay.cut_line = Some(index + 1);
                    break;
                }
                Err(err) => return Err(error(index + 1, format!("not an event: {}", crate::journal::complaint(&err)))),
            };
            if empty != matches!(event.action, Action::Trace { .. }) {
                let reason = if empty { NO_HEADER } else { "a second header: two traces in one file" };
                return Err(error(index + 1, reason.to_owned()));
            }
            empty = false;
            replay.step(&event).map_err(|reason| error(index + 1, reason))?;
        }
        if empty { Err(error(1, format!("empty: {NO_HEADER}"))) } else { Ok(replay) }
    }

    /// Replays one event. Returns what it breaks, known findings included.
    ///
    /// # Errors
    ///
    /// If the event cannot follow those before it, such as the end of a context that never began.
    pub fn step(&mut self, event: &Event) -> Result<Vec<Report>, String> {
        let number = self.thread(&event.thread);
        match &event.action {
            Action::Trace { version, .. } if *version > event::VERSION => {
                Err(format!("of version {version}, but known is only {}", event::VERSION))
            }
            Action::Trace { .. } => Ok(Vec::new()),
            Action::Declare(declared) => {
                let class = self.names.class_named(&declared.class);
                self.validator.declare(class, declared.traits);
                Ok(Vec::new())
            }
            Action::Acquire(acquire) => Ok(self.acquire(number, acquire, &event.site, Purpose::Hold)),
            Action::MightAcquire(acquire) => Ok(self.acquire(number, acquire, &event.site, Purpose::Maybe)),
            Action::Sync(acquire) => Ok(self.acquire(number, acquire, &event.site, Purpose::Sync)),
            Action::Spawn { .. } | Action::Join { .. } | Action::End | Action::Span { .. } => {
                self.life(number, &event.action, &event.site)
            }
            Action::Watch { .. }
            | Action::Enter(_)
            | Action::Exit { .. }
            | Action::Disable { .. }
            | Action::Enable { .. }
            | Action::Await => self.context(number, &event.action, &event.site),
            Action::EnterRegion { .. }
            | Action::ExitRegion { .. }
            | Action::MayEnter { .. }
            | Action::Bar { .. }
            | Action::Unbar { .. } => self.region(number, &event.action, &event.site),
            _ => self.lock(number, &event.action, &event.site),
        }
    }

    /// Returns the findings so far, each once, in order.
    pub fn reports(&self) -> &[Report] {
        &self.reports
    }

    /// Returns the number of the last line if it was cut and therefore left out.
    pub fn cut_line(&self) -> Option<usize> {
        self.cut_line
    }

    /// Returns how often a finding was made.
    pub fn times_seen(&self, fingerprint: Fingerprint) -> u64 {
        self.seen.get(&fingerprint).copied().unwrap_or(0)
    }

    /// Returns what every class of the trace is known for, in the order in which they came.
    ///
    /// # Complexity
    ///
    /// A search of all dependencies for every class.
    pub fn classes(&self) -> Vec<ClassListing> {
        crate::listing::list(&self.validator, self.names.classes(), &self.names)
    }

    /// Returns the validator.
    pub fn validator(&self) -> &Validator {
        &self.validator
    }

    fn thread(&mut self, name: &str) -> usize {
        if let Some(index) = self.names.threads.iter().position(|known| known == name) {
            return index;
        }
        self.names.threads.push(name.to_owned());
        let segment = self.validator.segments_mut().root();
        self.threads.push(Thread { segment, ..Thread::default() });
        self.threads.len() - 1
    }

    /// The acquisition of a lock by a thread, as the validator wants to know it.
    fn request(&mut self, thread: usize, how: Acquired, instance: u64, site: &Option<Site>) -> Request {
        let Thread { held, segment, span, .. } = &self.threads[thread];
        let place = site.as_ref().map_or(0, site_number);
        let point = held.key_with(how).at(place);
        if let Some(site) = site {
            self.names.sites.entry(point).or_insert_with(|| site.clone());
        }
        self.names.locks.insert(instance, how.class());
        Request {
            thread: u32::try_from(thread).unwrap_or(u32::MAX),
            segment: *segment,
            span: *span,
            ..Request::new(how, instance, point)
        }
    }

    fn acquire(&mut self, thread: usize, acquire: &Acquire, site: &Option<Site>, purpose: Purpose) -> Vec<Report> {
        let class = self.names.class_named(&acquire.class).nested(acquire.subclass);
        let how = Acquired::new(class, acquire.mode, acquire.trylock);
        let request = Request {
            nest: acquire.nest,
            rank: acquire.rank,
            sync: purpose == Purpose::Sync,
            ..self.request(thread, how, acquire.instance, site)
        };
        let outcome = self.validator.acquire(&self.threads[thread].held, &request);
        let reports = self.tell(thread, &request, &outcome.violations);
        self.regrade(thread, &request, &outcome.regraded);
        if purpose == Purpose::Hold {
            let held = &mut self.threads[thread].held;
            held.push(how, acquire.instance, request.point);
            if let Some(rank) = acquire.rank {
                held.set_rank(acquire.instance, rank);
            }
            if let Some(nest) = acquire.nest {
                held.set_nest(acquire.instance, nest);
            }
        }
        reports
    }

    /// Turns violations into reports, and keeps those that are new.
    fn tell(&mut self, thread: usize, request: &Request, violations: &[Violation]) -> Vec<Report> {
        let mut told = Vec::new();
        for violation in violations {
            let report = violation.report(request, &self.threads[thread].held, &self.validator, &self.names);
            *self.seen.entry(report.fingerprint).or_default() += 1;
            self.keep(report.clone());
            told.push(report);
        }
        told
    }

    /// Keeps a report if it is new, or worse than it was.
    fn keep(&mut self, report: Report) {
        match self.reports.iter_mut().find(|known| known.fingerprint == report.fingerprint) {
            None => self.reports.push(report),
            Some(known) if known.grade < report.grade => *known = report,
            Some(_) => {}
        }
    }

    /// Looks again at findings that one more witness is known of.
    fn regrade(&mut self, thread: usize, request: &Request, violations: &[Violation]) {
        for violation in violations {
            let report = violation.report(request, &self.threads[thread].held, &self.validator, &self.names);
            self.keep(report);
        }
    }

    /// A request that stands for something a thread does with a lock that it should hold.
    fn about(&mut self, thread: usize, lock: &Lock, site: &Option<Site>) -> Request {
        let class = match &lock.class {
            Some(name) => self.names.class_named(name),
            None => match self.names.locks.get(&lock.instance) {
                Some(class) => *class,
                None => self.names.class_named("?"),
            },
        };
        self.request(thread, Acquired::new(class, Mode::Exclusive, false), lock.instance, site)
    }

    fn lock(&mut self, thread: usize, action: &Action, site: &Option<Site>) -> Result<Vec<Report>, String> {
        let lock = match action {
            Action::Release(lock) | Action::Free(lock) | Action::Downgrade(lock) | Action::Upgrade(lock) => {
                lock.clone()
            }
            Action::AssertHeld(assertion) => assertion.lock.clone(),
            Action::Pin { instance, .. } | Action::Unpin { instance, .. } | Action::ChangeMode { instance, .. } => {
                Lock { class: None, instance: *instance }
            }
            _ => return Err("not an event of one lock".to_owned()),
        };
        let instance = lock.instance;
        if let Action::ChangeMode { mode, .. } = action {
            self.threads[thread].held.set_mode(instance, *mode);
            return Ok(Vec::new());
        }
        let request = self.about(thread, &lock, site);
        if matches!(action, Action::Upgrade(_)) {
            let request = Request { wait: WaitKind::Upgrade, ..request };
            let outcome = self.validator.acquire(&self.threads[thread].held, &request);
            self.threads[thread].held.set_mode(instance, Mode::Exclusive);
            return Ok(self.tell(thread, &request, &outcome.violations));
        }
        let held = &mut self.threads[thread].held;
        let violation = match action {
            Action::Release(_) => self.validator.release(held, instance),
            Action::Free(_) => self.validator.free(held, instance),
            Action::Downgrade(_) => self.validator.downgrade(held, instance),
            Action::AssertHeld(assertion) => self.validator.assert_held(held, instance, assertion.hold),
            Action::Pin { cookie, .. } if !held.pin(instance, *cookie) => {
                self.validator.assert_held(held, instance, None)
            }
            Action::Unpin { cookie, .. } if !held.unpin(instance, *cookie) => {
                return Err(format!("lock {instance} has no pin {cookie}"));
            }
            _ => None,
        };
        let mut reports = self.tell(thread, &request, violation.as_slice());
        let held = &mut self.threads[thread].held;
        match action {
            Action::Release(_) | Action::Free(_) => drop(held.release(instance)),
            Action::Downgrade(_) => {
                held.set_mode(instance, Mode::Shared);
                let outcome = self.validator.enabled(held, held.contexts().enabled, &request);
                reports.extend(self.tell(thread, &request, &outcome.violations));
            }
            _ => {}
        }
        Ok(reports)
    }

    fn context(&mut self, thread: usize, action: &Action, site: &Option<Site>) -> Result<Vec<Report>, String> {
        let innermost = self.threads[thread].held.iter().next_back();
        let request = match innermost {
            Some(lock) => self.request(thread, lock.how(), lock.instance(), site),
            None if matches!(action, Action::Await) => return Ok(Vec::new()),
            None => Request::new(Acquired::new(ClassId::new(0), Mode::Exclusive, false), 0, Point::new(1)),
        };
        let names = &mut self.names;
        let held = &mut self.threads[thread].held;
        let enabled = match action {
            Action::Watch { contexts } => held.watch(names.contexts_named(contexts)?),
            Action::Enter(Enter { context, disables, limit }) => {
                let context = names.context_named(context)?;
                let disables = match disables {
                    Some(others) => names.contexts_named(others)?,
                    None => ContextSet::of(context),
                };
                held.enter(context, disables, limit.unwrap_or(context.limit()));
                ContextSet::EMPTY
            }
            Action::Exit { context } => {
                let id = names.context_named(context)?;
                held.leave(id).ok_or_else(|| format!("{context} has not been entered"))?
            }
            Action::Disable { context } => {
                held.disable(ContextSet::of(names.context_named(context)?));
                ContextSet::EMPTY
            }
            Action::Enable { context } => {
                let id = names.context_named(context)?;
                held.enable(ContextSet::of(id)).ok_or_else(|| format!("{context} is not disabled"))?
            }
            _ => {
                let violation = self.validator.await_point(held);
                return Ok(self.tell(thread, &request, violation.as_slice()));
            }
        };
        let outcome = self.validator.enabled(&self.threads[thread].held, enabled, &request);
        Ok(self.tell(thread, &request, &outcome.violations))
    }

    fn region(&mut self, thread: usize, action: &Action, site: &Option<Site>) -> Result<Vec<Report>, String> {
        let (Action::EnterRegion { region }
        | Action::ExitRegion { region }
        | Action::MayEnter { region }
        | Action::Bar { region }
        | Action::Unbar { region }) = action
        else {
            return Err("not an event of a region".to_owned());
        };
        let instance = u64::MAX - u64::from(self.names.class_named(region).base());
        let acquire = Acquire::new(region, instance, Mode::Exclusive);
        let barred = self.threads[thread].barred.entry(region.clone()).or_default();
        match action {
            Action::Bar { .. } => *barred += 1,
            Action::Unbar { .. } if *barred == 0 => return Err(format!("{region} is not barred")),
            Action::Unbar { .. } => *barred -= 1,
            _ if *barred > 0 => {}
            Action::EnterRegion { .. } => return Ok(self.acquire(thread, &acquire, site, Purpose::Hold)),
            Action::MayEnter { .. } => return Ok(self.acquire(thread, &acquire, site, Purpose::Maybe)),
            _ => {
                let lock = Lock { class: Some(region.clone()), instance };
                return self.lock(thread, &Action::Release(lock), site);
            }
        }
        Ok(Vec::new())
    }

    fn life(&mut self, thread: usize, action: &Action, site: &Option<Site>) -> Result<Vec<Report>, String> {
        match action {
            Action::Spawn { child } => {
                let child = self.thread(child);
                let (on, first) = self.validator.segments_mut().spawn(self.threads[thread].segment);
                self.threads[thread].segment = on;
                self.threads[child].segment = first;
            }
            Action::Join { child } => {
                let last = self.thread(child);
                let last = self.threads[last].segment;
                let on = self.validator.segments_mut().join(self.threads[thread].segment, last);
                self.threads[thread].segment = on;
            }
            Action::Span { span } => self.threads[thread].span = self.names.span_number(span),
            _ => {
                let held = &self.threads[thread].held;
                let Some(violation) = self.validator.exit(held) else { return Ok(Vec::new()) };
                let lock = Lock { class: None, instance: held.iter().next_back().map_or(0, |lock| lock.instance()) };
                let request = self.about(thread, &lock, site);
                let reports = self.tell(thread, &request, &[violation]);
                self.threads[thread].held = HeldStack::new();
                return Ok(reports);
            }
        }
        Ok(Vec::new())
    }
}

const NO_HEADER: &str = "not a lockdep trace: the first line is no header";

/// What becomes of an acquisition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Hold,
    Maybe,
    Sync,
}

/// A number for a place in the source.
fn site_number(site: &Site) -> u64 {
    use std::hash::{Hash, Hasher};
    let mut hasher = rustc_hash::FxHasher::default();
    site.hash(&mut hasher);
    hasher.finish()
}
