//! The process's own session, which every thread belongs to at first: the environment is read when it is first needed.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use once_cell::sync::Lazy;

use super::{
    journal::JournalFile,
    output::complain,
    settings::Settings,
    shared::{self, Shared},
    state,
    thread::Thread,
    trace, wanted,
};

static PROCESS: Lazy<Arc<Shared>> = Lazy::new(|| {
    let settings = Settings::from_environment();
    settings.complaints.iter().for_each(|text| complain(text));
    state::ATTENTION.start(settings.on);
    let session = Shared::new(shared::PROCESS, settings.policy);
    session.learnt.lock().fail_on = settings.fail_on;
    if settings.on {
        session.budget.set_limit(settings.budget);
        wanted::set(wanted::STATISTICS, settings.statistics);
        wanted::set(wanted::HELD_TABLE, settings.held_table);
        wanted::SUMMARY.store(settings.summary || settings.statistics, Relaxed);
        if let Some(path) = &settings.trace
            && let Err(message) = trace::start(path)
        {
            complain(&message);
        }
    }
    if let Some(directory) = settings.journal.filter(|_| settings.on) {
        match JournalFile::create(&directory) {
            Ok(journal) => session.learnt.lock().journal = Some(journal),
            Err(message) => complain(&message),
        }
    }
    session
});

/// Returns the process's own session. Call it inside.
pub(super) fn session() -> &'static Arc<Shared> {
    Lazy::force(&PROCESS)
}

/// Calls `f` with the session that this thread is in. Call it inside. Returns `None` if a signal handler has
/// interrupted the thread on its way from one session to another.
pub(super) fn of<R>(thread: &Thread, f: impl FnOnce(&Arc<Shared>) -> R) -> Option<R> {
    let entered = thread.session.try_borrow().ok()?;
    Some(f(entered.as_ref().unwrap_or_else(|| Lazy::force(&PROCESS))))
}
