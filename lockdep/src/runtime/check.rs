//! What an acquisition at a point that its thread has not seen proven leads to: a proof, new dependencies, a report.

use lockdep_core::{
    Grade, Point, Proof, Report, Request, WaitKind, explain::dependency_record, journal::Record as Line,
};

use super::{
    attempt::Attempt,
    budget, findings,
    output::{self, Verdict},
    shared::{Learnt, Shared},
    thread::Thread,
};

impl Attempt<'_> {
    /// Finds the acquisition proven, or proves it, or reports it.
    pub(super) fn check(&self, thread: &Thread, session: &Shared) -> Verdict {
        let point = self.point(&thread.held);
        // An upgrade is at the same point as an acquisition in its mode, and is not proven by it. Neither is what depends
        // on another lock.
        let cacheable = self.wait != WaitKind::Upgrade && self.place.nest.is_none();
        let segment = thread.segment.get();
        let known = session.points.is_proven(point, segment);
        if cacheable && known == Some(true) {
            thread.prove(point);
            return Verdict::GoOn;
        }
        let origin = session.meet(point, self.site);
        let mut learnt = session.learnt.lock();
        let (proof, news) = self.validate(thread, session, point, &mut learnt);
        let policy = learnt.policy_for(&news);
        match proof {
            Proof::Chain if cacheable => {
                session.points.prove(point, segment, origin);
                thread.prove(point);
            }
            Proof::Locks if cacheable => {
                let within = thread.held.point_within(self.acquired.class(), self.record.id().instance(), point);
                within.into_iter().for_each(|exact| thread.prove_exact(exact));
            }
            _ => {}
        }
        drop(learnt);
        // A subscriber may wait for other threads, so nothing is held here that those might wait for.
        output::tell(&news, policy)
    }

    fn validate(&self, thread: &Thread, session: &Shared, point: Point, learnt: &mut Learnt) -> (Proof, Vec<Report>) {
        let spans = session.span_count();
        let request = Request {
            wait: self.wait,
            orders_instances: self.record.orders_instances(),
            nest: self.place.nest,
            rank: self.place.rank,
            precedes: self.record.rules().precedes,
            sync: self.sync,
            thread: thread.number.get(),
            segment: thread.segment.get(),
            span: session.span(),
            ..Request::new(self.acquired, self.record.id().instance(), point)
        };
        learnt.meet(self.acquired.class(), self.record.rules().traits);
        let outcome = learnt.validator.acquire(&thread.held, &request);
        session.charge(budget::DEPENDENCY * outcome.learnt.len());
        if !outcome.witnessed && outcome.violations.is_empty() {
            // A span may never come again; nobody needs its name.
            session.forget_spans(spans);
        }
        for (step, witness) in &outcome.learnt {
            learnt.append(|| Line::Dependency(dependency_record(step, witness, session)));
        }
        let mut news =
            findings::report(&outcome.violations, outcome.witnessed, &request, &thread.held, session, learnt);
        news.extend(findings::regrade(&outcome.regraded, &request, &thread.held, session, learnt));
        let gates = news.iter().any(|report| report.grade == Grade::Gated);
        // What is proven under a lock that gates is proven for that lock only.
        let doubted = gates && findings::doubt_gates(&outcome.violations, session, learnt);
        if outcome.crowded {
            session.doubt();
        }
        (if doubted || outcome.crowded { Proof::None } else { outcome.proof }, news)
    }
}
