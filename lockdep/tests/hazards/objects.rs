//! Classes: which locks are one, and which are not.

use lockdep::{Code, LockClass, Mutex, Policy, Session, Subclass};

use super::{CIRCULAR, NOTHING, codes, findings};

struct Pair {
    x: Mutex<()>,
    y: Mutex<()>,
}

fn pair() -> Pair {
    Pair { x: Mutex::new(()), y: Mutex::new(()) }
}

#[test]
fn two_objects_of_one_kind_share_their_classes_even_when_one_is_gone() {
    let (first, second) = (pair(), pair());
    assert_eq!(
        codes(&[&|| drop((first.x.lock(), first.y.lock())), &|| drop((second.y.lock(), second.x.lock()))]),
        CIRCULAR
    );
    let gone = || {
        let pair = pair();
        drop((pair.x.lock(), pair.y.lock()));
    };
    assert_eq!(codes(&[&gone, &|| drop((second.y.lock(), second.x.lock()))]), CIRCULAR);
}

#[test]
fn what_a_destroyed_lock_led_to_is_not_forgotten() {
    let (a, c) = (Mutex::new(()), Mutex::new(()));
    let nest = || {
        let b = Mutex::new(());
        let _a = a.lock();
        let _b = b.lock();
        drop(c.lock());
    };
    assert_eq!(codes(&[&nest, &|| drop((c.lock(), a.lock()))]), CIRCULAR);
}

#[test]
fn a_new_lock_at_a_dead_locks_address_is_another_lock() {
    let outer = Mutex::new(());
    let mut slot = Some(Mutex::new(1));
    let session = Session::new(Policy::Collect);
    session.enter(|| {
        drop((outer.lock(), slot.as_ref().unwrap().lock()));
        // Same place in memory, another construction site.
        slot = Some(Mutex::new(2));
        drop((slot.as_ref().unwrap().lock(), outer.lock()));
    });
    assert_eq!(session.reports(), []);
}

#[test]
fn a_moved_lock_stays_itself() {
    let session = Session::new(Policy::Collect);
    session.enter(|| {
        let make = || Mutex::new(());
        let (a, b) = (make(), make());
        drop((a.lock(), b.lock()));
        let (b, a) = (Box::new(b), Box::new(a));
        drop((a.lock(), b.lock()));
        assert_eq!(session.reports(), []);
        drop((b.lock(), a.lock()));
    });
    assert_eq!(session.reports()[0].code, Code::InstanceOrder);
}

#[test]
fn a_row_of_locks_has_one_order() {
    let row: Vec<Mutex<()>> = (0..4).map(|_| Mutex::new(())).collect();
    let up = || drop(row.iter().map(|lock| lock.lock()).collect::<Vec<_>>());
    let down = || drop(row.iter().rev().map(|lock| lock.lock()).collect::<Vec<_>>());
    assert_eq!(codes(&[&up, &up]), NOTHING);
    assert_eq!(codes(&[&up, &down]), [Code::InstanceOrder]);
}

#[test]
fn explicit_classes_nest_by_subclass_only() {
    static NODE: LockClass = LockClass::new("node");
    let (a, b) = (Mutex::new_in(&NODE, ()), Mutex::new_in(&NODE, ()));
    assert_eq!(codes(&[&|| drop((a.lock(), b.lock()))]), [Code::Recursion]);
    assert_eq!(codes(&[&|| drop((a.lock(), b.lock_nested(Subclass::new(1))))]), NOTHING);
    let wrong = || drop((b.lock_nested(Subclass::new(1)), a.lock()));
    assert_eq!(codes(&[&|| drop((a.lock(), b.lock_nested(Subclass::new(1)))), &wrong]), CIRCULAR);
}

#[test]
fn two_locks_on_one_line_are_two_classes_and_a_helper_names_its_caller() {
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    assert_eq!(codes(&[&|| drop((a.lock(), b.lock())), &|| drop((b.lock(), a.lock()))]), CIRCULAR);

    #[track_caller]
    fn helper() -> Mutex<()> {
        Mutex::new(())
    }
    let c = helper();
    let d = helper();
    let found = findings(&[&|| drop((c.lock(), d.lock())), &|| drop((d.lock(), c.lock()))]);
    assert_eq!(found[0].code, Code::CircularDependency, "two callers, two classes");
}
