//! What must hold under every schedule.

use std::collections::BTreeMap;

use lockdep_core::{ClassId, HeldStack, Point, SegmentId, Site};
use loom::{
    sync::{
        Arc,
        atomic::Ordering::{Acquire, Relaxed, Release},
    },
    thread,
};

use super::{
    attention::{Attention, OFF, UNSET},
    budget::{Budget, Dropped},
    numbers::Numbers,
    points::Points,
    sync::{AtomicU32, Mutex, OnceNonZeroUsize},
};

fn attention(word: u32) -> Attention {
    Attention { word: AtomicU32::new(word), orphans: Mutex::new(BTreeMap::new()) }
}

/// What a thread of the runtime does before it trusts what it knows: compares words, and attends if they differ.
struct Thread {
    number: u32,
    attended: u32,
    held: Vec<u64>,
    proven: Vec<Point>,
    doubts: u32,
}

impl Thread {
    fn new(number: u32) -> Self {
        Self { number, attended: 1, held: Vec::new(), proven: Vec::new(), doubts: 0 }
    }

    fn come_by(&mut self, attention: &Attention, points: &Points<()>) {
        if self.attended == attention.peek() {
            return;
        }
        let word = attention.attend();
        let held = &mut self.held;
        attention.adopt(self.number, |instance| {
            let found = held.iter().position(|held| *held == instance);
            found.is_some_and(|index| held.swap_remove(index) == instance)
        });
        let doubts = points.doubts();
        if std::mem::replace(&mut self.doubts, doubts) != doubts {
            self.proven.clear();
        }
        self.attended = word;
    }
}

#[test]
fn a_release_by_another_thread_takes_the_owners_entry_and_nobody_elses() {
    loom::model(|| {
        // The owner holds the lock 7 and another waits for it, with an entry of its own already. A third releases.
        let shared = Arc::new((attention(1), Points::default(), AtomicU32::new(0)));
        let releasing = thread::spawn({
            let shared = shared.clone();
            move || {
                shared.0.orphan(1, 7);
                // The lock itself, which the waiter gets.
                shared.2.store(1, Release);
            }
        });
        let waiting = thread::spawn({
            let shared = shared.clone();
            move || {
                let mut waiter = Thread::new(2);
                waiter.held.push(7);
                if shared.2.load(Acquire) == 1 {
                    waiter.come_by(&shared.0, &shared.1);
                }
                assert_eq!(waiter.held, [7], "the waiter has it now");
            }
        });
        let mut owner = Thread::new(1);
        owner.held.push(7);
        owner.come_by(&shared.0, &shared.1);
        releasing.join().unwrap();
        owner.come_by(&shared.0, &shared.1);
        assert!(owner.held.is_empty(), "who knows of the release sees it gone");
        waiting.join().unwrap();
    });
}

#[test]
fn two_releases_for_one_owner_are_both_seen() {
    loom::model(|| {
        let shared = Arc::new((attention(1), Points::default()));
        let threads: Vec<_> = (0..2)
            .map(|lock| {
                let shared = shared.clone();
                thread::spawn(move || shared.0.orphan(1, lock))
            })
            .collect();
        let mut owner = Thread::new(1);
        owner.held.extend([0, 1, 2]);
        owner.come_by(&shared.0, &shared.1);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        owner.come_by(&shared.0, &shared.1);
        assert_eq!(owner.held, [2]);
        assert!(shared.0.orphans.lock().is_empty(), "nothing is left behind");
    });
}

#[test]
fn checking_that_is_off_stays_off() {
    loom::model(|| {
        let attention = Arc::new(attention(UNSET));
        let starting = thread::spawn({
            let attention = attention.clone();
            move || attention.start(true)
        });
        let advancing = thread::spawn({
            let attention = attention.clone();
            move || {
                attention.advance();
                attention.switch_off();
                attention.advance();
            }
        });
        starting.join().unwrap();
        advancing.join().unwrap();
        assert_eq!(attention.peek(), OFF);
    });
}

#[test]
fn the_number_comes_around_without_meaning_off_or_unset() {
    loom::model(|| {
        let attention = Arc::new(attention(OFF - 1));
        let other = attention.clone();
        let thread = thread::spawn(move || other.advance());
        attention.advance();
        thread.join().unwrap();
        assert_eq!(attention.peek(), 2);
    });
}

#[test]
fn nobody_trusts_what_has_been_doubted() {
    loom::model(|| {
        let (point, segment) = (Point::new(5), SegmentId::from_u32(1));
        // The last one stands for the validator's own lock: what it guards is whether a doubt has been spoken.
        let shared = Arc::new((attention(1), Points::default(), Mutex::new(false), AtomicU32::new(0)));
        shared.1.prove(point, segment, ());
        let doubting = thread::spawn({
            let shared = shared.clone();
            move || {
                let mut spoken = shared.2.lock();
                *spoken = true;
                shared.1.doubt();
                shared.0.advance();
                drop(spoken);
                shared.3.store(1, Release);
            }
        });
        let mut thread = Thread::new(1);
        for _ in 0..2 {
            let knows = shared.3.load(Acquire) == 1;
            // The fast path, then the slow one: whether it is proven is asked without the validator's lock.
            thread.come_by(&shared.0, &shared.1);
            let proven = thread.proven.contains(&point) || shared.1.is_proven(point, segment) == Some(true);
            if proven {
                assert!(!knows, "the doubt came first");
                thread.proven.push(point);
            } else {
                let spoken = shared.2.lock();
                assert!(*spoken, "only a doubt unproves");
                shared.1.prove(point, segment, ());
                drop(spoken);
                // As it is proven again, now that the doubt is known.
                return doubting.join().unwrap();
            }
        }
        doubting.join().unwrap();
        thread.come_by(&shared.0, &shared.1);
        assert!(thread.proven.is_empty(), "what was remembered before the doubt is forgotten");
    });
}

#[test]
fn a_point_that_two_threads_meet_at_once_is_proven_for_both() {
    loom::model(|| {
        let points = Arc::new(Points::default());
        let learnt = Arc::new(Mutex::new(()));
        let meet = |segment: u32| {
            let (points, learnt) = (points.clone(), learnt.clone());
            thread::spawn(move || {
                let (point, segment) = (Point::new(9), SegmentId::from_u32(segment));
                if points.is_proven(point, segment).is_none() {
                    points.meet(point, segment.as_u32());
                }
                let _learnt = learnt.lock();
                points.prove(point, segment, segment.as_u32());
            })
        };
        let threads = [meet(1), meet(2)];
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(points.len(), 1);
        for segment in [1, 2] {
            assert_eq!(points.is_proven(Point::new(9), SegmentId::from_u32(segment)), Some(true));
        }
        assert!(points.origin(Point::new(9)).is_some());
    });
}

#[test]
fn a_class_has_one_number_and_a_lock_one_identity() {
    loom::model(|| {
        let shared = Arc::new((Numbers::default(), OnceNonZeroUsize::new(), OnceNonZeroUsize::new()));
        let identify = || {
            let shared = shared.clone();
            thread::spawn(move || {
                let (numbers, class, lock) = &*shared;
                let number = numbers.declared(class, 77, "account", site);
                let id = lock.get_or_init(|| {
                    std::num::NonZeroUsize::MIN.saturating_add(numbers.serial() << 8 | number as usize)
                });
                (number, id)
            })
        };
        let threads = [identify(), identify()];
        let [first, second] = threads.map(|thread| thread.join().unwrap());
        assert_eq!(first, second);
        assert_ne!(first.0, 0, "number 0 is of locks without an identity");
        assert_eq!(shared.0.with(|registry| registry.label(ClassId::new(first.0))), "account");
        shared.0.with(lockdep_core::ClassRegistry::check_invariants);
    });
}

#[test]
fn two_copies_of_one_construction_site_are_one_class() {
    loom::model(|| {
        let numbers = Arc::new(Numbers::default());
        let construct = |address| {
            let numbers = numbers.clone();
            thread::spawn(move || (numbers.construction(address, site), numbers.serial()))
        };
        let threads = [construct(16), construct(32)];
        let [first, second] = threads.map(|thread| thread.join().unwrap());
        assert_eq!(first.0, second.0);
        assert_ne!(first.1, second.1, "two locks");
        assert_eq!(numbers.construction(16, || unreachable!("it is known")), first.0);
    });
}

fn site() -> Site {
    Site { file: "bank.rs".to_owned(), line: 3, column: 7 }
}

#[test]
fn each_thing_is_given_up_once_and_in_order() {
    loom::model(|| {
        let budget = Budget::default();
        assert_eq!(budget.charge(1 << 40), Dropped::Nothing, "there is no limit");
        budget.refund(1 << 40);
        budget.set_limit(100);
        assert_eq!(budget.charge(100), Dropped::Nothing);
        assert_eq!(budget.charge(1), Dropped::Statistics);
        assert_eq!(budget.charge(1), Dropped::Nothing, "that is on its way");
        budget.gave_up(50);
        assert_eq!(budget.charge(1), Dropped::Nothing, "that was enough");
        assert_eq!(budget.charge(100), Dropped::Stacks);
        assert!((0..5).all(|_| budget.charge(1000) == Dropped::Nothing), "there is nothing else");
        assert_eq!(budget.dropped(), Dropped::Stacks);
    });
}

#[test]
fn a_budget_gives_each_thing_up_once_and_nothing_too_early() {
    loom::model(|| {
        let budget = Arc::new(Budget::default());
        budget.set_limit(100);
        budget.charge(90);
        let charge = || {
            let budget = budget.clone();
            thread::spawn(move || {
                let dropped = budget.charge(20);
                if dropped == Dropped::Statistics {
                    // They were most of it.
                    budget.gave_up(80);
                }
                dropped
            })
        };
        let threads = [charge(), charge()];
        let dropped = threads.map(|thread| thread.join().unwrap());
        let count = |what| dropped.iter().filter(|dropped| **dropped == what).count();
        assert_eq!((count(Dropped::Statistics), count(Dropped::Stacks)), (1, 0), "{dropped:?}");
        assert_eq!((budget.dropped(), budget.used()), (Dropped::Statistics, 50));
    });
}

/// The order of what is published and of the word, apart from everything else: the fast path's plain load must be enough.
#[test]
fn what_is_published_before_an_advance_is_seen_by_who_attends() {
    loom::model(|| {
        let shared = Arc::new((attention(1), AtomicU32::new(0)));
        let publishing = thread::spawn({
            let shared = shared.clone();
            move || {
                shared.1.store(42, Relaxed);
                shared.0.advance();
            }
        });
        if shared.0.peek() != 1 {
            assert_eq!(shared.0.attend(), 2);
            assert_eq!(shared.1.load(Relaxed), 42);
        }
        publishing.join().unwrap();
    });
}

/// The journal is written under the validator's lock: what names a class comes after what introduces it.
#[test]
fn a_line_that_names_a_class_comes_after_the_one_that_introduces_it() {
    loom::model(|| {
        let learnt = Arc::new(Mutex::new((lockdep_core::Validator::new(), Vec::new(), Vec::new())));
        let acquire = |outer: u32, inner: u32| {
            let learnt = learnt.clone();
            thread::spawn(move || {
                let how =
                    |class| lockdep_core::Acquired::new(ClassId::new(class), lockdep_core::Mode::Exclusive, false);
                let held = HeldStack::new();
                for class in [outer, inner] {
                    let request = lockdep_core::Request::new(how(class), u64::from(class), Point::new(1));
                    let mut learnt = learnt.lock();
                    let (validator, known, lines) = &mut *learnt;
                    if !known.contains(&class) {
                        known.push(class);
                        lines.push(vec![class]);
                    }
                    let outcome = validator.acquire(&held, &request);
                    lines.extend(outcome.learnt.iter().map(|(step, _)| vec![step.outer.base(), step.inner.base()]));
                    drop(learnt);
                    held.push(how(class), u64::from(class), Point::new(1));
                }
            })
        };
        let threads = [acquire(1, 2), acquire(2, 3)];
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let learnt = learnt.lock();
        let introduced = |class: &u32, before: usize| learnt.2[..before].iter().any(|line| line == &[*class]);
        for (index, line) in learnt.2.iter().enumerate().filter(|(_, line)| line.len() == 2) {
            assert!(line.iter().all(|class| introduced(class, index)), "{:?}", learnt.2);
        }
    });
}
