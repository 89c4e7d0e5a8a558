//! Reports go out as tracing events, and dependencies know the spans they were made in.

use std::sync::{Arc, Mutex as Plain};

use lockdep::{LockClass, Mutex, Policy, Session, SpanLayer};
use tracing::{Event, Subscriber, field::Visit};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt};

/// Keeps the fields of lockdep's events.
#[derive(Clone, Default)]
struct Events(Arc<Plain<Vec<String>>>);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0 += &format!("{field}={value:?};");
    }
}

impl<S: Subscriber> Layer<S> for Events {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "lockdep" {
            let mut text = Text(String::new());
            event.record(&mut text);
            self.0.lock().unwrap().push(text.0);
        }
    }
}

#[test]
fn a_report_is_an_event_and_a_dependency_knows_its_span() {
    let events = Events::default();
    let subscriber = tracing_subscriber::registry().with(SpanLayer::new()).with(events.clone());
    let session = Session::new(Policy::Collect);
    tracing::subscriber::with_default(subscriber, || {
        let (a, b) = (Mutex::new(()), Mutex::new(()));
        session.enter(|| {
            tracing::info_span!("page_fault", addr = 0x7f00).in_scope(|| {
                tracing::info_span!("allocate").in_scope(|| drop((a.lock(), b.lock())));
            });
            let before = tracing::info_span!("page_fault", addr = 1);
            let entered = before.enter();
            drop(entered);
            drop((b.lock(), a.lock()));
        });
    });
    let report = &session.reports()[0];
    assert_eq!(report.cycle[1].span.as_deref(), Some("page_fault{addr=32512}:allocate"));
    assert_eq!(report.cycle[0].span, None, "a span that was left is not told");
    let events = events.0.lock().unwrap();
    assert_eq!(events.len(), 1);
    assert!(events[0].contains("code=\"circular-dependency\";"), "{events:?}");
    assert!(events[0].contains(&format!("fingerprint={};", report.fingerprint)), "{events:?}");
}

#[test]
fn spans_that_nothing_was_learnt_in_are_not_remembered() {
    static RANKED: LockClass = LockClass::new("spans: ranked").ranked();
    let subscriber = tracing_subscriber::registry().with(SpanLayer::new());
    let session = Session::new(Policy::Collect);
    let (a, b) = (Mutex::new_in(&RANKED, ()), Mutex::new_in(&RANKED, ()));
    tracing::subscriber::with_default(subscriber, || {
        session.enter(|| {
            for addr in 0..1000 {
                // Such acquisitions are judged every time.
                tracing::info_span!("page_fault", addr).in_scope(|| drop((a.lock_ranked(1), b.lock_ranked(2))));
            }
        });
    });
    assert!(session.summary().spans < 10, "{}", session.summary().spans);
    assert!(session.summary().counts.judged >= 2000);
}

/// A subscriber whose own lock is instrumented.
struct Watched(Mutex<u32>);

impl<S: Subscriber> Layer<S> for Watched {
    fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
        *self.0.lock() += 1;
    }
}

#[test]
fn a_subscriber_may_take_watched_locks() {
    let subscriber = tracing_subscriber::registry().with(Watched(Mutex::new(0)));
    let session = Session::new(Policy::Collect);
    tracing::subscriber::with_default(subscriber, || {
        let (a, b) = (Mutex::new(()), Mutex::new(()));
        session.enter(|| {
            drop((a.lock(), b.lock()));
            drop((b.lock(), a.lock()));
            let _a = a.lock();
            tracing::error!("an event of the program's own, under a lock");
        });
    });
    assert_eq!(session.reports().len(), 1);
}

/// A subscriber that hands every event to another thread and waits for it, a thread with watched locks of its own.
struct Waits(Arc<Mutex<u32>>);

impl<S: Subscriber> Layer<S> for Waits {
    fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
        let count = self.0.clone();
        let other = Arc::new(Mutex::new(()));
        let work = move || drop((other.lock(), *count.lock() += 1));
        std::thread::spawn(work).join().expect("the writer does not panic");
    }
}

#[test]
fn a_subscriber_may_wait_for_threads_that_learn() {
    let count = Arc::new(Mutex::new(0));
    let subscriber = tracing_subscriber::registry().with(Waits(count.clone()));
    lockdep::set_policy(Policy::Collect);
    tracing::subscriber::with_default(subscriber, || {
        let (a, b) = (Mutex::new(()), Mutex::new(()));
        drop((a.lock(), b.lock()));
        drop((b.lock(), a.lock()));
    });
    assert_eq!(*count.lock(), 1);
}
