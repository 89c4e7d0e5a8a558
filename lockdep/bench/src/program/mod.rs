//! Whole programs with watched locks, one a file; each runs for some tenths of a second.

mod cache;
mod map;
mod pipeline;
mod pool;
mod tree;

use std::{fmt, hint::black_box, str::FromStr, time::Instant};

use cpu_time::ProcessTime;

/// A program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// A sharded map of readers-writer locks, mostly read, by four threads.
    Map,
    /// A work-stealing pool of four workers that sorts.
    Pool,
    /// A cache server of four threads.
    Cache,
    /// Threads joined by bounded queues.
    Pipeline,
    /// A B+ tree with lock coupling, mostly read, by four threads.
    Tree,
    /// The simulator's random operations of several processes, whose threads take turns.
    #[cfg(feature = "compare")]
    Soak,
    /// The simulator's random operations on threads that run at the same time. It runs for a given time; its cost is that
    /// of [`FAULTS`] page faults.
    #[cfg(feature = "compare")]
    Stress,
}

/// What a run took, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// By the clock.
    pub wall: f64,
    /// Of processors, all threads together.
    pub cpu: f64,
}

impl Program {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Map,
        Self::Pool,
        Self::Cache,
        Self::Pipeline,
        Self::Tree,
        #[cfg(feature = "compare")]
        Self::Soak,
        #[cfg(feature = "compare")]
        Self::Stress,
    ];

    /// Runs the program once.
    pub fn run(self) -> Cost {
        let (wall, cpu) = (Instant::now(), ProcessTime::now());
        match self {
            Self::Map => _ = black_box(map::run()),
            Self::Pool => _ = black_box(pool::run()),
            Self::Cache => _ = black_box(cache::run()),
            Self::Pipeline => _ = black_box(pipeline::run()),
            Self::Tree => _ = black_box(tree::run()),
            #[cfg(feature = "compare")]
            Self::Soak => soak(),
            #[cfg(feature = "compare")]
            Self::Stress => return stress(),
        }
        Cost { wall: wall.elapsed().as_secs_f64(), cpu: cpu.elapsed().as_secs_f64() }
    }
}

#[cfg(feature = "compare")]
fn soak() {
    let soak = mm_sim::scenario::named("soak").expect("the simulator has a soak");
    for seed in 1..=4 {
        let outcome = mm_sim::run(soak, mm_sim::Protocol::V6_12, seed);
        assert!(outcome.failure.is_none() && !outcome.has_findings(), "{}", outcome.verdict);
    }
}

/// Page faults whose cost is that of a stress run.
#[cfg(feature = "compare")]
pub const FAULTS: f64 = 100_000.0;

#[cfg(feature = "compare")]
fn stress() -> Cost {
    use mm_sim::{
        Protocol,
        stress::{Mix, Stress},
    };
    let time = std::time::Duration::from_millis(400);
    let cpu = ProcessTime::now();
    let outcome = Stress { threads: 2, time, protocol: Protocol::V6_12, seed: 1, mix: Mix::All, locks: false }.run();
    let cpu = cpu.elapsed().as_secs_f64();
    assert!(outcome.failure.is_none() && !outcome.has_findings(), "{}", outcome.verdict);
    let faults = outcome.faults_per_second * outcome.seconds;
    Cost { wall: outcome.seconds * FAULTS / faults, cpu: cpu * FAULTS / faults }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Map => "map",
            Self::Pool => "pool",
            Self::Cache => "cache",
            Self::Pipeline => "pipeline",
            Self::Tree => "tree",
            #[cfg(feature = "compare")]
            Self::Soak => "mm-sim soak",
            #[cfg(feature = "compare")]
            Self::Stress => "mm-sim stress",
        })
    }
}

impl FromStr for Program {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|program| program.to_string() == text);
        known.copied().ok_or_else(|| format!("no program {text:?}"))
    }
}
