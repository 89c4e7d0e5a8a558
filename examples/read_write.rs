//! Readers block each other too: a plain reader queues behind a writer that waits for another reader. A recursive reader
//! does not, and lockdep knows the difference.

use lockdep::{LockClass, Mutex, Policy, RwLock};

static CONFIG: LockClass = LockClass::new("config");
static CACHE: LockClass = LockClass::new("cache");
static STATISTICS: LockClass = LockClass::new("statistics");

fn main() {
    lockdep::set_policy(Policy::Print);
    let config = RwLock::new_in(&CONFIG, "v1");
    let cache = Mutex::new_in(&CACHE, Vec::new());

    println!("a reader of the config fills the cache");
    let reader = config.read();
    cache.lock().push(*reader);
    println!("and may read the config again, recursively");
    assert_eq!(*config.read_recursive(), "v1");
    drop(reader);

    println!("whoever holds the cache writes the config: reported");
    let cached = cache.lock();
    *config.write() = "v2";
    drop(cached);

    let statistics = RwLock::new_in(&STATISTICS, 0);
    println!("recursive readers of two locks may come in either order");
    drop((config.read_recursive(), statistics.read_recursive()));
    drop((statistics.read_recursive(), config.read_recursive()));
    println!("{} finding(s)", lockdep::take_reports().len());
}
