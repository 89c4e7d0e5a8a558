//! In place of parking_lot: the same names, the same methods. With the feature `enabled` off, the same machine code.

use std::thread;

// Before: use parking_lot::{Condvar, Mutex, RwLock};
use lockdep::{Condvar, Mutex, RwLock};

/// A queue with a limit, and a name that may change.
struct Queue {
    name: RwLock<String>,
    items: Mutex<Vec<u64>>,
    changed: Condvar,
}

const LIMIT: usize = 4;

impl Queue {
    fn put(&self, item: u64) {
        let mut items = self.items.lock();
        self.changed.wait_while(&mut items, |items| items.len() == LIMIT);
        items.push(item);
        self.changed.notify_all();
    }

    fn take(&self) -> u64 {
        let mut items = self.items.lock();
        self.changed.wait_while(&mut items, |items| items.is_empty());
        self.changed.notify_all();
        items.remove(0)
    }
}

fn main() {
    let name = RwLock::new("numbers".to_owned());
    let queue = Queue { name, items: Mutex::new(Vec::new()), changed: Condvar::new() };
    let sum: u64 = thread::scope(|scope| {
        scope.spawn(|| (1..=1000).for_each(|item| queue.put(item)));
        let takers: Vec<_> = (0..2).map(|_| scope.spawn(|| (0..500).map(|_| queue.take()).sum::<u64>())).collect();
        queue.name.write().push_str(", all taken");
        takers.into_iter().map(|taker| taker.join().expect("a taker does not panic")).sum()
    });
    println!("{}: {sum}", queue.name.read());
    println!("{} finding(s)", lockdep::take_reports().len());
}
