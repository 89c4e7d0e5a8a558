//! What a validator must say, on real locks and real threads: what must be reported although nothing hangs, and what must
//! not be reported.

mod cycles;
mod holding;
mod objects;
mod readers;
mod threads;

use std::thread;

use lockdep::{Code, Policy, Report, Session};

/// Runs steps, each on a thread of its own, one after another, in a session of their own. Returns its findings.
fn findings(steps: &[&(dyn Fn() + Sync)]) -> Vec<Report> {
    let session = Session::new(Policy::Collect);
    for step in steps {
        thread::scope(|scope| {
            scope.spawn(|| session.enter(step));
        });
    }
    session.reports()
}

fn codes(steps: &[&(dyn Fn() + Sync)]) -> Vec<Code> {
    findings(steps).iter().map(|report| report.code).collect()
}

const NOTHING: [Code; 0] = [];
const CIRCULAR: [Code; 1] = [Code::CircularDependency];
