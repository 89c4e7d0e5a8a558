//! From violations to what is told: each finding once, counted, and once more when its grade gets worse.

use std::panic::Location;

use lockdep_core::{Acquired, ClassId, Grade, HeldStack, Mode, Report, Request, Violation};
use parking_lot::MutexGuard;

use super::{
    output::{self, Verdict},
    shared::{Learnt, Shared},
    thread::Thread,
};
use crate::Policy;

/// Returns a request that stands for this place in the program, whatever lock the thread took last. Its own site, if it
/// has one, is remembered with its stack.
pub(super) fn at_place(thread: &Thread, session: &Shared, site: Option<&'static Location<'static>>) -> Request {
    let innermost = innermost(&thread.held);
    let point = site.map_or(innermost.point, |site| {
        let point = thread.held.key().at(std::ptr::from_ref(site).addr() as u64);
        session.meet(point, site);
        point
    });
    let span = session.span();
    Request { point, thread: thread.number.get(), segment: thread.segment.get(), span, ..innermost }
}

/// Keeps violations and tells what must be told.
pub(super) fn conclude(
    violations: &[Violation],
    request: &Request,
    held: &HeldStack,
    session: &Shared,
    mut learnt: MutexGuard<'_, Learnt>,
) -> Verdict {
    let news = report(violations, true, request, held, session, &mut learnt);
    let policy = learnt.policy_for(&news);
    drop(learnt);
    output::tell(&news, policy)
}

/// Keeps what was broken, each finding once; returns what must be told. `witnessed` says whether anything has one more
/// witness than before: a cycle of classes is graded again whenever one of its dependencies has, others when they are met.
pub(super) fn report(
    violations: &[Violation],
    witnessed: bool,
    request: &Request,
    held: &HeldStack,
    session: &Shared,
    learnt: &mut Learnt,
) -> Vec<Report> {
    let mut news = Vec::new();
    for violation in violations {
        let first = learnt.count(violation.fingerprint(request, session));
        // The thread would hang right here, so even a known one is told again.
        let told_again = violation.is_certain() && learnt.policy == Policy::Panic;
        if first || told_again {
            news.push(violation.report(request, held, &learnt.validator, session));
        }
        if first {
            // Into the journal before anybody is told: the policy may be to abort.
            learnt.keep(news[news.len() - 1].clone());
        } else if witnessed || !matches!(violation, Violation::Cycle(_)) {
            news.extend(regrade(std::slice::from_ref(violation), request, held, session, learnt));
        }
    }
    news
}

/// Looks again at known findings, which may have got worse. Returns those of them that did not fail the run before.
pub(super) fn regrade(
    violations: &[Violation],
    request: &Request,
    held: &HeldStack,
    session: &Shared,
    learnt: &mut Learnt,
) -> Vec<Report> {
    let mut news = Vec::new();
    for violation in violations {
        let fingerprint = violation.fingerprint(request, session);
        let Some((known, failed)) = learnt.known_grade(fingerprint) else { continue };
        if known == Grade::Concurrent || learnt.validator.grade(violation).grade <= known {
            continue;
        }
        let report = violation.report(request, held, &learnt.validator, session);
        if failed {
            learnt.worsen(report);
        } else {
            learnt.keep(report.clone());
            news.push(report);
        }
    }
    news
}

/// From now on, nothing is proven under locks that gate these findings. Returns whether that is news.
pub(super) fn doubt_gates(violations: &[Violation], session: &Shared, learnt: &mut Learnt) -> bool {
    let gates: Vec<ClassId> =
        violations.iter().filter_map(|violation| learnt.validator.grade(violation).gate).collect();
    let mut news = false;
    for gate in gates {
        news |= learnt.validator.doubt_gate(gate);
    }
    if news {
        session.doubt();
    }
    news
}

/// The acquisition of the innermost lock, or of none, as something to say a place with.
fn innermost(held: &HeldStack) -> Request {
    let nothing = || {
        let how = Acquired::new(ClassId::new(0), Mode::Exclusive, false);
        Request::new(how, 0, held.key().at(0))
    };
    held.iter().next_back().map_or_else(nothing, |lock| Request::new(lock.how(), lock.instance(), lock.point()))
}
