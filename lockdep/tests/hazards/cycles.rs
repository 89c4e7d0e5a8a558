//! Cycles across threads and objects.

use lockdep::{Code, Grade, LockClass, Mutex};

use super::{CIRCULAR, NOTHING, codes, findings};

#[test]
fn an_inversion_on_two_threads_or_on_one() {
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    assert_eq!(codes(&[&|| drop((a.lock(), b.lock())), &|| drop((b.lock(), a.lock()))]), CIRCULAR);
    let both = || {
        drop((a.lock(), b.lock()));
        drop((b.lock(), a.lock()));
    };
    let found = findings(&[&both]);
    assert_eq!((found[0].code, found[0].grade), (Code::CircularDependency, Grade::FewThreads));
    assert_eq!(codes(&[&|| drop((a.lock(), b.lock())), &|| drop((a.lock(), b.lock()))]), NOTHING);
}

#[test]
fn long_cycles_are_found_whole() {
    for length in [3, 12, 25, 1000] {
        // A class of its own for each lock.
        let classes: Vec<&'static LockClass> =
            (0..length).map(|_| &*Box::leak(Box::new(LockClass::new("ring")))).collect();
        let locks: Vec<Mutex<()>> = classes.iter().map(|class| Mutex::new_in(class, ())).collect();
        let ring = || (0..length).for_each(|i| drop((locks[i].lock(), locks[(i + 1) % length].lock())));
        let found = findings(&[&ring]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].cycle.len(), length);
        assert!(found[0].cycle.iter().all(|step| !step.inner.stack.is_empty() && !step.outer.stack.is_empty()));
    }
}
