//! A wait lets go of its mutex and acquires it again, under everything else that the thread still holds.

use std::{thread, time::Duration};

use lockdep::{Condvar, LockClass, Mutex, Policy};

static QUEUE: LockClass = LockClass::new("queue");
static LOG: LockClass = LockClass::new("log");

fn main() {
    lockdep::set_policy(Policy::Print);
    let queue = Mutex::new_in(&QUEUE, Vec::new());
    let log = Mutex::new_in(&LOG, Vec::new());
    let filled = Condvar::new();

    println!("a wait with nothing else held: silent");
    thread::scope(|scope| {
        scope.spawn(|| {
            queue.lock().push(1);
            filled.notify_one();
        });
        let mut items = queue.lock();
        filled.wait_while(&mut items, |items| items.is_empty());
        assert_eq!(items.pop(), Some(1));
    });

    println!("a wait that keeps the log: when it wakes it wants the queue while it has the log: reported");
    let mut items = queue.lock();
    let mut lines = log.lock();
    let timeout = filled.wait_for(&mut items, Duration::from_millis(1));
    lines.push(timeout.timed_out());
    println!("{} finding(s)", lockdep::take_reports().len());
}
