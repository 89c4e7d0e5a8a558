//! Whether what watches the simulator would notice a bug: each acquisition left out, swapped or made to wait, each second
//! look not taken, one run of the workload after the other.
//!
//! * `workload`: the runs, and what a survey of them teaches about each acquisition.
//! * [`Mutant`]: one deliberate bug, and its name.
//! * `trial`: the runs with a mutant, until something is found.
//! * `order`: whether a mutant that nothing has found changes anything at all.
//! * `survivors`: why the others survive, from `data/mutants-survivors.txt`; `render`: the campaign as text.
//!
//! A mutant is *detected* if anything is found that is not found without it: by lockdep, an invariant, the memory model, a
//! deadlock, because a run does not end, or because what was learnt contradicts the declared order (`lockdep.order`). One
//! that is not is *equivalent* if it provably changes neither an exclusion nor an order in any run of the workload:
//!
//! 1. An acquisition that is left out excluded nobody: whenever another actor took the same lock, both held yet another
//!    one in conflicting modes, and that one stays (a survey notes all locks that are held around all others). The same is
//!    so for whoever takes a lock of the class anywhere in the workload, even if the two have never met: else a workload in
//!    which they do not meet would make a mutant look equivalent that is only not tried.
//! 2. An acquisition that waits instead of trying adds no order: all dependencies that lockdep learns with the mutant are
//!    there without it, directly or by way of other locks.
//!
//! What is left *survives*.

mod mutant;
mod order;
mod render;
mod survivors;
mod trial;
mod workload;

use std::{
    num::NonZeroUsize,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
    time::Instant,
};

use parking_lot::Mutex;
use serde::Serialize;

pub use self::{
    mutant::Mutant,
    trial::{Fate, Trial},
};
use self::{survivors::Reasons, trial::Court, workload::Workload};
use crate::protocol::Protocol;

/// A whole campaign.
#[derive(Clone, Debug, Serialize)]
pub struct Campaign {
    /// The protocol's name.
    pub protocol: &'static str,
    /// All trials.
    pub trials: Vec<Trial>,
    /// The mutants that have a reason to survive and do not, or are not there any more; of a whole campaign only.
    pub unneeded: Vec<&'static str>,
    /// How long it took, in seconds.
    pub seconds: f64,
}

impl Campaign {
    /// Returns how many mutants were detected.
    pub fn detected(&self) -> usize {
        self.count(|fate| matches!(fate, Fate::Detected(_)))
    }

    /// Returns how many change neither an order nor an exclusion.
    pub fn equivalent(&self) -> usize {
        self.count(|fate| matches!(fate, Fate::Equivalent(_)))
    }

    /// Returns the share of detected mutants among those that change something.
    pub fn rate(&self) -> f64 {
        match self.trials.len() - self.equivalent() {
            0 => 1.0,
            all => self.detected() as f64 / all as f64,
        }
    }

    /// Returns the survivors that nothing explains.
    pub fn unexplained(&self) -> usize {
        self.count(|fate| matches!(fate, Fate::Survives(reason) if reason == survivors::UNEXPLAINED))
    }

    fn count(&self, is_it: impl Fn(&Fate) -> bool) -> usize {
        self.trials.iter().filter(|trial| is_it(&trial.fate)).count()
    }
}

/// How much is run for each mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// The small scenarios.
    Quick,
    /// All scenarios, the bugs of the catalogue with their fixes, and random operations.
    Full,
}

/// Lists the mutants of all acquisitions that the workload reaches, and of all looks.
///
/// # Errors
///
/// If something is found without any mutant, in words.
pub fn mutants(protocol: Protocol, effort: Effort) -> Result<Vec<Mutant>, String> {
    Ok(mutant::all(&Workload::survey(protocol, effort)?))
}

/// Tries all mutants, or those whose names have `only` in them, on all processors.
///
/// # Errors
///
/// If something is found without any mutant: then nothing is known of them.
pub fn campaign(protocol: Protocol, effort: Effort, only: Option<&str>) -> Result<Campaign, String> {
    let start = Instant::now();
    let workload = Workload::survey(protocol, effort)?;
    let reasons = Reasons::read(&protocol).map_err(|error| error.to_string())?;
    let wanted = |mutant: &Mutant| only.is_none_or(|only| mutant.to_string().contains(only));
    let mutants: Vec<Mutant> = mutant::all(&workload).into_iter().filter(wanted).collect();
    let court = Court::new(&workload, &reasons);
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some((at, mutant)) = Some(next.fetch_add(1, Relaxed)).and_then(|at| Some((at, mutants.get(at)?))) {
            let trial = court.trial(mutant.clone());
            results.lock().push((at, trial));
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZeroUsize::get) {
            scope.spawn(work);
        }
    });
    let mut results = results.into_inner();
    results.sort_by_key(|(at, _)| *at);
    let trials: Vec<Trial> = results.into_iter().map(|(_, trial)| trial).collect();
    let survives =
        |name: &str| trials.iter().any(|trial| trial.name == name && matches!(trial.fate, Fate::Survives(_)));
    let is_whole = only.is_none() && effort == Effort::Full;
    let unneeded = if is_whole { reasons.unneeded(survives) } else { Vec::new() };
    Ok(Campaign { protocol: protocol.name, trials, unneeded, seconds: start.elapsed().as_secs_f64() })
}
