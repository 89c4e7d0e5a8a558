//! `mm-sim stress` and `mm-sim measure`.

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode},
    time::Duration,
};

use mm_sim::{
    Protocol,
    stress::{Comparison, Measured, Mix, Progress, Stress},
};

use super::{FAILURE, FINDINGS, paint, rules::Rules};

/// What is compared.
const PROTOCOLS: [&str; 3] = ["6.1", "6.6", "6.12"];
const THREADS: [u32; 4] = [1, 2, 4, 8];
/// Runs of each, of which the median counts.
const RUNS: u32 = 3;

/// The arguments of a stress run.
pub(crate) struct What {
    pub(crate) threads: u32,
    pub(crate) seconds: f64,
    pub(crate) rules: Rules,
    pub(crate) seed: u64,
    pub(crate) mix: Mix,
    pub(crate) locks: bool,
}

pub(crate) fn stress(what: &What, json: bool) -> Result<ExitCode, String> {
    let protocol = what.rules.protocol(Protocol::V6_12)?;
    let time =
        Duration::try_from_secs_f64(what.seconds).map_err(|error| format!("{} seconds: {error}", what.seconds))?;
    let stress = Stress { threads: what.threads, time, protocol, seed: what.seed, mix: what.mix, locks: what.locks };
    // Ten lines at most, and none of a short run.
    let outcome = stress.run_telling((time / 10).max(Duration::from_secs(1)), |progress| {
        let Progress { elapsed, faults, broken } = progress;
        let (at, of) = (elapsed.as_secs_f64(), time.as_secs_f64());
        anstream::eprintln!("{at:>6.1} s of {of:.1}: {faults} page faults, {broken} invariants broken");
    });
    if json {
        let text = serde_json::to_string_pretty(&outcome).map_err(|error| error.to_string())?;
        anstream::println!("{text}");
    } else {
        paint::print(&outcome.to_string(), !outcome.has_findings() && outcome.failure.is_none());
    }
    Ok(match () {
        () if outcome.failure.is_some() => ExitCode::from(FAILURE),
        () if outcome.has_findings() => ExitCode::from(FINDINGS),
        () => ExitCode::SUCCESS,
    })
}

/// What is measured in a run of its own.
type Case = (u32, &'static str, bool);

/// Measures everything in processes of their own, since checking is on or off for a whole process. The runs of the cases
/// take turns, so that a machine that is slow for a while is slow for all of them.
pub(crate) fn measure(out: &Path, seconds: f64) -> Result<ExitCode, String> {
    let of_threads = |threads| {
        PROTOCOLS.into_iter().flat_map(move |protocol| [true, false].map(|checked| (threads, protocol, checked)))
    };
    let cases: Vec<Case> = THREADS.into_iter().flat_map(of_threads).collect();
    let mut measured: Vec<Vec<Measured>> = vec![Vec::new(); cases.len()];
    for round in 1..=RUNS {
        anstream::eprintln!("round {round} of {RUNS}: {} runs of {seconds} s", cases.len());
        for (&(threads, protocol, checked), into) in cases.iter().zip(&mut measured) {
            into.push(one(protocol, threads, checked, seconds)?);
        }
    }
    let comparison = Comparison(measured.into_iter().map(Comparison::median).collect());
    let report = comparison.report("faults.svg");
    anstream::print!("{report}");
    for (name, contents) in [("performance.md", &report), ("faults.svg", &comparison.chart())] {
        let path = out.join(name);
        fs::create_dir_all(out).map_err(|error| format!("failed to make {}: {error}", out.display()))?;
        fs::write(&path, contents).map_err(|error| format!("failed to write {}: {error}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn one(protocol: &str, threads: u32, checked: bool, seconds: f64) -> Result<Measured, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let (threads_text, seconds) = (threads.to_string(), seconds.to_string());
    let mut command = Command::new(program);
    command.args(["stress", "--faults", "--json", "--protocol", protocol, "--threads", &threads_text]);
    command.args(["--seconds", &seconds]).env("LOCKDEP", if checked { "collect" } else { "off" });
    let output = command.output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("{protocol} with {threads} threads: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let outcome: serde_json::Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    let number = |name: &str| outcome[name].as_f64().unwrap_or(0.0);
    Ok(Measured {
        protocol: protocol.to_owned(),
        threads,
        checked,
        faults_per_second: number("faults_per_second"),
        cpu_us_per_fault: outcome["cpu_us_per_fault"].as_f64(),
        vma_lock_hits: number("vma_lock_hits"),
        waits_per_thousand: number("waits") / (number("faults_per_second") * number("seconds")) * 1000.0,
    })
}
