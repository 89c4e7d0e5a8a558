//! The trace: everything that the threads of the process's session do, as events that `cargo lockdep replay` reads.
//!
//! Each event is one write, as in the journal, so nothing is lost to a kill. Threads of one name are told apart by their
//! numbers.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::Write,
    panic::Location,
    path::{Path, PathBuf},
};

use lockdep_core::{
    ClassId, ClassTraits, ContextId, ContextSet, Event, HeldLock, Mode, SameClass, Subclass, WaitType,
    event::{Acquire, Action, Declared, Enter, Lock, VERSION},
};
use parking_lot::Mutex;

use super::{attempt::Attempt, classes, context_id, names, output::complain, span, thread::Thread, wanted};

static TRACE: Mutex<Option<Trace>> = Mutex::new(None);

/// An open trace.
#[derive(Debug)]
struct Trace {
    file: File,
    path: PathBuf,
    declared: HashSet<u32>,
    threads: HashMap<u32, String>,
    names: HashSet<String>,
    spans: HashMap<u32, Option<String>>,
}

/// Begins a trace. A `%p` in the path stands for the process id.
pub(super) fn start(path: &Path) -> Result<(), String> {
    let path = PathBuf::from(path.to_string_lossy().replace("%p", &std::process::id().to_string()));
    let file = File::create(&path).map_err(|err| format!("failed to create the trace {}: {err}", path.display()))?;
    let program = std::env::current_exe().ok();
    let program = program.as_deref().and_then(Path::file_stem).map_or("unknown".into(), |stem| stem.to_string_lossy());
    let mut trace = Trace {
        file,
        path,
        declared: HashSet::new(),
        threads: HashMap::new(),
        names: HashSet::new(),
        spans: HashMap::new(),
    };
    trace.write(&Event::new("main", Action::Trace { version: VERSION, program: program.into_owned() }))?;
    *TRACE.lock() = Some(trace);
    wanted::set(wanted::TRACE, true);
    Ok(())
}

impl Trace {
    fn write(&mut self, event: &Event) -> Result<(), String> {
        let written = self.file.write_all(event.to_line().as_bytes());
        written.map_err(|err| format!("failed to write to the trace {}: {err}", self.path.display()))
    }

    /// Returns the name of a thread, which no other has.
    fn thread(&mut self, number: u32) -> String {
        let names = &mut self.names;
        let name = self.threads.entry(number).or_insert_with(|| {
            let name = names::thread_name(number);
            let unique = if names.contains(&name) { format!("{name}#{number}") } else { name };
            names.insert(unique.clone());
            unique
        });
        name.clone()
    }

    fn declare(&mut self, class: ClassId, traits: ClassTraits) -> Result<(), String> {
        if self.declared.insert(class.base()) {
            let declared = Declared { class: classes::label(class.nested(Subclass::DEFAULT)), traits };
            self.write(&Event::new("main", Action::Declare(declared)))?;
        }
        Ok(())
    }

    fn enter_span(&mut self, number: u32) -> Result<(), String> {
        let now = span::current();
        if self.spans.get(&number).unwrap_or(&None) != &now {
            let thread = self.thread(number);
            let span = now.clone().unwrap_or_default();
            self.spans.insert(number, now);
            self.write(&Event::new(&thread, Action::Span { span }))?;
        }
        Ok(())
    }
}

/// Writes events, unless the trace has ended or the thread is in a session of its own.
fn emit(thread: &Thread, write: impl FnOnce(&mut Trace, &str) -> Result<(), String>) {
    // In none of its own, or on the way to one.
    if !thread.session.try_borrow().is_ok_and(|session| session.is_none()) {
        return;
    }
    let mut slot = TRACE.lock();
    let Some(trace) = slot.as_mut() else { return };
    let name = trace.thread(thread.number.get());
    if let Err(message) = write(trace, &name) {
        complain(&format!("{message}; it ends here"));
        *slot = None;
        wanted::set(wanted::TRACE, false);
    }
}

fn event(thread: &str, action: Action, site: Option<&Location<'_>>) -> Event {
    Event { site: site.map(classes::site_of), ..Event::new(thread, action) }
}

fn lock(instance: u64) -> Lock {
    Lock { class: None, instance }
}

fn attempted(thread: &Thread, attempt: &Attempt<'_>, action: fn(Acquire) -> Action) {
    emit(thread, |trace, name| {
        let class = attempt.acquired.class();
        let mut traits = attempt.record.rules().traits;
        if attempt.record.orders_instances() {
            traits.same_class = SameClass::Learnt;
        }
        trace.declare(class, traits)?;
        trace.enter_span(thread.number.get())?;
        let acquire = Acquire {
            trylock: attempt.acquired.is_trylock(),
            subclass: class.subclass(),
            nest: attempt.place.nest,
            rank: attempt.place.rank,
            ..Acquire::new(
                &classes::label(class.nested(Subclass::DEFAULT)),
                attempt.record.id().instance(),
                attempt.acquired.mode(),
            )
        };
        trace.write(&event(name, action(acquire), Some(attempt.site)))
    });
}

pub(super) fn acquired(thread: &Thread, attempt: &Attempt<'_>) {
    attempted(thread, attempt, Action::Acquire);
}

pub(super) fn refused(thread: &Thread, attempt: &Attempt<'_>) {
    attempted(thread, attempt, Action::MightAcquire);
}

pub(super) fn synced(thread: &Thread, attempt: &Attempt<'_>) {
    attempted(thread, attempt, Action::Sync);
}

pub(super) fn upgraded(thread: &Thread, attempt: &Attempt<'_>) {
    let action = Action::Upgrade(lock(attempt.record.id().instance()));
    emit(thread, |trace, name| trace.write(&event(name, action, Some(attempt.site))));
}

pub(super) fn released(thread: &Thread, held: HeldLock) {
    emit(thread, |trace, name| trace.write(&Event::new(name, Action::Release(lock(held.instance())))));
}

pub(super) fn released_unheld(thread: &Thread, class: ClassId, instance: u64, site: &Location<'_>) {
    let class = Some(classes::label(class));
    let action = Action::Release(Lock { class, instance });
    emit(thread, |trace, name| trace.write(&event(name, action, Some(site))));
}

pub(super) fn changed_mode(thread: &Thread, instance: u64, mode: Mode) {
    emit(thread, |trace, name| trace.write(&Event::new(name, Action::ChangeMode { instance, mode })));
}

/// Writes an event that is no acquisition, if there is a trace.
pub(super) fn other(thread: &Thread, site: Option<&Location<'_>>, action: impl FnOnce() -> Action) {
    if wanted::wants(wanted::TRACE) {
        emit(thread, |trace, name| trace.write(&event(name, action(), site)));
    }
}

/// Writes that the thread spawns or has joined the one numbered `child`.
pub(super) fn family(thread: &Thread, child: u32, action: fn(String) -> Action) {
    if wanted::wants(wanted::TRACE) {
        emit(thread, |trace, name| {
            let child = trace.thread(child);
            trace.write(&Event::new(name, action(child)))
        });
    }
}

/// The beginning of a context, which disables itself unless it is a poll.
pub(super) fn enter(context: ContextId, limit: WaitType) -> Action {
    let disables = (!context.interrupts()).then(Vec::new);
    Action::Enter(Enter { context: context_id::name(context), disables, limit: Some(limit) })
}

/// These contexts are watched.
pub(super) fn watch(watched: ContextSet) -> Action {
    Action::Watch { contexts: watched.iter().map(context_id::name).collect() }
}
