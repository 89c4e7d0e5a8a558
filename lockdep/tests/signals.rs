//! Real signal handlers that take watched locks, while their thread does the same.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    thread,
};

use libc::{SIGUSR1, c_int, c_void, siginfo_t};
use lockdep::{Mutex, SIGNAL_HANDLER};
use vmm_sys_util::signal::{Killable, register_signal_handler};

/// Used in the handler alone.
static HANDLED: Mutex<usize> = Mutex::new(0);
static COUNT: AtomicUsize = AtomicUsize::new(0);
static STOP: AtomicBool = AtomicBool::new(false);

extern "C" fn handle(_signal: c_int, _info: *mut siginfo_t, _context: *mut c_void) {
    let inside = SIGNAL_HANDLER.enter();
    let mut handled = HANDLED.lock();
    *handled += 1;
    let count = *handled;
    drop(handled);
    drop(inside);
    COUNT.store(count, SeqCst);
}

/// The thread that is interrupted takes known locks only, so that it is never interrupted while it allocates, which no
/// handler that allocates would survive, lockdep or not.
#[test]
fn a_handler_may_take_locks_at_any_moment() {
    lockdep::set_policy(lockdep::Policy::Collect);
    SIGNAL_HANDLER.watch();
    register_signal_handler(SIGUSR1, handle).expect("the signal can be handled");
    let (a, b) = (Mutex::new(0u64), Mutex::new(0u64));
    let (ready, is_ready) = std::sync::mpsc::channel();
    let interrupted = thread::spawn(move || {
        let round = || {
            let mut outer = a.lock();
            *outer += 1;
            *b.lock() += 1;
        };
        (0..3).for_each(|_| round());
        ready.send(()).expect("the test waits");
        while !STOP.load(SeqCst) {
            round();
        }
        let rounds = *a.lock();
        assert_eq!(rounds, *b.lock());
        assert_eq!((a.map().is_held(), b.map().is_held()), (Some(false), Some(false)));
    });
    is_ready.recv().expect("the thread begins");
    for count in 1..=500 {
        interrupted.kill(SIGUSR1).expect("the thread lives");
        while COUNT.load(SeqCst) < count {
            thread::yield_now();
        }
    }
    STOP.store(true, SeqCst);
    interrupted.join().expect("nothing went wrong");
    assert_eq!(*HANDLED.lock(), 500);
}
