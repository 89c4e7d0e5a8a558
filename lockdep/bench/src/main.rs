//! What checking costs: lockdep beside parking_lot and its peers, in one run.
//!
//! The module list is a map of the code:
//!
//! * `locks`, `peers`: all locks under one face. `sites`: many lines that acquire.
//! * `sample`: what is measured of a known acquisition; `program`: whole programs with watched locks.
//! * `answer`, `child`: samples taken by another process, where a build or a setting excludes the others.
//! * `measure`: the measures, one a file. `stats`, `report`, `chart`: figures, Markdown, SVG.
//! * `compare`: the command line.
//!
//! Built without the feature `compare`, all that is left is the answering side.

#[macro_use]
mod locks;

mod answer;
mod program;
mod sample;
mod sites;

#[cfg(feature = "compare")]
mod chart;
#[cfg(feature = "compare")]
mod child;
#[cfg(feature = "compare")]
mod compare;
#[cfg(feature = "compare")]
mod measure;
#[cfg(feature = "compare")]
mod peers;
#[cfg(feature = "compare")]
mod report;
#[cfg(feature = "compare")]
mod stats;

#[cfg(feature = "compare")]
fn main() -> std::process::ExitCode {
    compare::main()
}

#[cfg(not(feature = "compare"))]
fn main() -> std::process::ExitCode {
    answer::serve()
}
