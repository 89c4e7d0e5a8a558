//! Numbers and names of the threads that take part.

use once_cell::sync::Lazy;
use parking_lot::Mutex;

use super::state;

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

/// Returns a number for a thread of this name.
pub(super) fn number_thread(name: Option<&str>) -> u32 {
    state::thread_joins();
    let mut threads = THREADS.lock();
    let number = threads.len() + 1;
    threads.push(name.map_or_else(|| format!("thread-{number}"), str::to_owned));
    u32::try_from(number).unwrap_or(u32::MAX)
}
