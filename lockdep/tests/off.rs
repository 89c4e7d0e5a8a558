//! What checking adds to a lock: without the feature `enabled`, nothing.

use std::mem::size_of;

use lockdep::ENABLED;

/// Asserts that a type has the size of parking_lot's, plus what a build with checking may add.
macro_rules! assert_added {
    ($bytes:expr, $($name:ident<$($argument:tt),*>),*) => {$(
        let ours = size_of::<lockdep::$name<$($argument),*>>();
        let theirs = size_of::<parking_lot::$name<$($argument),*>>();
        let added = ours - theirs;
        let allowed = if ENABLED { $bytes } else { 0 };
        assert!(added <= allowed, "{} adds {added} bytes, {allowed} allowed", stringify!($name));
    )*};
}

#[test]
fn a_lock_is_no_larger_than_allowed() {
    assert_added!(24, Mutex<u64>, RwLock<u64>);
    // And the padding of what is smaller than a word.
    assert_added!(24 + 7, Mutex<()>, RwLock<[u8; 3]>);
    assert_eq!(size_of::<lockdep::Condvar>(), size_of::<parking_lot::Condvar>());
    assert_eq!(size_of::<lockdep::LockMap>(), if ENABLED { 24 } else { 0 });
}

#[test]
fn a_guard_is_no_larger_than_allowed() {
    // The way to the record and, where guards travel, who acquired the lock.
    const GUARD: usize = if cfg!(feature = "send_guard") { 16 } else { 8 };
    assert_added!(GUARD, MutexGuard<'static, u64>, RwLockReadGuard<'static, u64>, RwLockWriteGuard<'static, u64>);
    assert_added!(GUARD, RwLockUpgradableReadGuard<'static, u64>);
}

#[test]
fn locks_are_made_in_statics() {
    static MUTEX: lockdep::Mutex<u32> = lockdep::Mutex::new(1);
    static RWLOCK: lockdep::RwLock<u32> = lockdep::RwLock::new(2);
    assert_eq!(*MUTEX.lock() + *RWLOCK.read(), 3);
}

/// The dependencies of a build without checking: parking_lot, and nothing else.
#[test]
fn without_checking_parking_lot_is_the_only_dependency() {
    let arguments = ["tree", "--package", "lockdep", "--edges", "normal", "--depth", "1", "--prefix", "none"];
    let output = std::process::Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let names: Vec<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names, ["lockdep", "parking_lot"], "{}", String::from_utf8_lossy(&output.stderr));
}
