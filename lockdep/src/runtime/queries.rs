//! What this thread holds, for whoever asks.

use lockdep_core::{Acquisition, Evidence, HeldLock, Mode, ThreadLocks};

use super::{
    inside::{inside, introduce},
    names,
    output::Verdict,
    record::Record,
    state,
    thread::with,
};

/// Returns how many locks this thread holds, if anybody knows.
pub(crate) fn held_count() -> Option<usize> {
    if state::load() == state::OFF {
        return None;
    }
    introduce();
    with(|thread| (!thread.inside.get()).then(|| thread.held.len()))
}

/// Returns how this thread holds the lock, if anybody knows.
pub(crate) fn held_mode(record: &Record) -> Option<Option<Mode>> {
    if state::load() == state::OFF || !record.rules().tracked {
        return None;
    }
    let Some(id) = record.known_id() else { return Some(None) };
    if with(|thread| thread.attended.get()) != state::load() {
        // Another thread may have released it meanwhile.
        introduce();
    }
    with(|thread| (!thread.inside.get()).then(|| thread.held.find(id.instance()).map(|lock| lock.mode())))
}

/// Returns what this thread holds, whether the table is kept or not.
pub(crate) fn held_here() -> ThreadLocks {
    let mut locks = ThreadLocks { thread: String::new(), held: Vec::new(), waits_for: None };
    let _ = inside(|thread, session| {
        let acquisition = |lock: HeldLock| Acquisition {
            class: session.class(lock.class()),
            lock: None,
            mode: lock.mode(),
            trylock: lock.how().is_trylock(),
            site: session.site(lock.point()),
            stack: session.stack(lock.point()),
        };
        locks.thread = names::thread_name(thread.number.get());
        locks.held = thread.held.iter().map(acquisition).collect();
        Verdict::GoOn
    });
    locks
}
