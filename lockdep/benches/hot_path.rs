//! What a known acquisition costs, beside parking_lot in the same run. Figures are ratios to be read across a row of
//! depths and between the two locks; `LOCKDEP=off` shows what is left when checking is switched off at run time.
//!
//! `cargo bench -p lockdep --features enabled --bench hot_path`

use divan::{Bencher, black_box};
use lockdep::LockClass;

fn main() {
    divan::main();
}

const DEPTHS: [usize; 4] = [1, 2, 4, 8];

/// Eight locks of eight classes: a construction site each. (In a macro all would be at the place of its use.)
fn each<L>(new: impl Fn(&'static LockClass) -> L) -> [L; 8] {
    static CLASSES: [LockClass; 8] = [
        LockClass::new("0"),
        LockClass::new("1"),
        LockClass::new("2"),
        LockClass::new("3"),
        LockClass::new("4"),
        LockClass::new("5"),
        LockClass::new("6"),
        LockClass::new("7"),
    ];
    CLASSES.each_ref().map(new)
}

/// Locks and unlocks the innermost of `depth` locks, the others being held.
macro_rules! innermost {
    ($bench:ident, $acquire:ident, $new:expr) => {
        #[divan::bench(consts = DEPTHS, sample_count = 200, sample_size = 20_000)]
        fn $bench<const DEPTH: usize>(bencher: Bencher) {
            let locks = each($new);
            let outer: Vec<_> = locks[..DEPTH - 1].iter().map(|lock| lock.$acquire()).collect();
            let inner = &locks[DEPTH - 1];
            bencher.bench_local(|| {
                let guard = black_box(inner).$acquire();
                black_box(&*guard);
            });
            drop(outer);
        }
    };
}

innermost!(mutex_parking_lot, lock, |_| parking_lot::Mutex::new(0u64));
innermost!(mutex_lockdep, lock, |class| lockdep::Mutex::new_in(class, 0u64));
innermost!(read_parking_lot, read, |_| parking_lot::RwLock::new(0u64));
innermost!(read_lockdep, read, |class| lockdep::RwLock::new_in(class, 0u64));
innermost!(write_parking_lot, write, |_| parking_lot::RwLock::new(0u64));
innermost!(write_lockdep, write, |class| lockdep::RwLock::new_in(class, 0u64));
