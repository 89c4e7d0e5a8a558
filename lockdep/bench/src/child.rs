//! Builds of this program that cannot share a process with the comparison, asked for samples over pipes.
//!
//! Only one process works at a time, so their samples can be interleaved as if all were in one.

use std::{
    cell::RefCell,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child as Process, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context, bail};

use crate::{
    program::{Cost, Program},
    sample::{Sampler, Shape},
};

/// A build or a setting of this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// This build, with `LOCKDEP=off`.
    Off,
    /// This build, as this process is.
    On,
    /// Built without checking.
    Absent,
    /// Built without checking, with the detector of parking_lot.
    DeadlockDetection,
}

impl Variant {
    /// Returns the program of this variant, building it if need be.
    pub fn program(self) -> anyhow::Result<PathBuf> {
        let features: &[&str] = match self {
            Self::Off | Self::On => return Ok(std::env::current_exe()?),
            Self::Absent => &[],
            Self::DeadlockDetection => &["--features", "deadlock-detection"],
        };
        let manifest = env!("CARGO_MANIFEST_DIR");
        let own = std::env::current_exe()?;
        let target = own.ancestors().nth(2).context("this program is not in a target directory")?;
        let target = target.join(format!("lockdep-bench-{self:?}").to_lowercase());
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .args(["build", "--quiet", "--release", "--no-default-features", "--manifest-path"])
            .arg(format!("{manifest}/Cargo.toml"))
            .arg("--target-dir")
            .arg(&target)
            .args(features)
            .status()
            .context("cargo does not start")?;
        if !status.success() {
            bail!("the build of {self:?} fails");
        }
        Ok(target.join("release").join("lockdep-bench"))
    }

    /// Returns the command that starts the program of this variant.
    pub fn command(self) -> anyhow::Result<Command> {
        let mut command = Command::new(self.program()?);
        command.env_remove("LOCKDEP").env_remove("LOCKDEP_OUT");
        if self == Self::Off {
            command.env("LOCKDEP", "off");
        }
        Ok(command)
    }
}

/// A process that takes samples.
pub struct Child {
    variant: Variant,
    process: Process,
    pipes: RefCell<(ChildStdin, BufReader<ChildStdout>)>,
}

impl Child {
    /// Starts a process.
    pub fn start(variant: Variant) -> anyhow::Result<Self> {
        let mut command = variant.command()?;
        let mut process = command.arg("answer").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdin = process.stdin.take().context("no pipe to the process")?;
        let stdout = process.stdout.take().context("no pipe from the process")?;
        Ok(Self { variant, process, pipes: RefCell::new((stdin, BufReader::new(stdout))) })
    }

    /// Runs a program once.
    pub fn run(&self, program: Program) -> anyhow::Result<Cost> {
        match self.ask(&format!("program {program}"))?[..] {
            [wall, cpu] => Ok(Cost { wall, cpu }),
            ref other => bail!("{:?} answers {other:?}", self.variant),
        }
    }

    /// Returns the locks of the process as a sampler: `parking_lot` or `lockdep`.
    pub fn locks<'a>(&'a self, locks: &'a str) -> impl Sampler + 'a {
        Remote { child: self, locks }
    }

    fn ask(&self, request: &str) -> anyhow::Result<Vec<f64>> {
        let (stdin, stdout) = &mut *self.pipes.borrow_mut();
        writeln!(stdin, "{request}")?;
        let mut answer = String::new();
        stdout.read_line(&mut answer)?;
        let words = answer.split_whitespace().map(str::parse);
        words.collect::<Result<_, _>>().with_context(|| format!("{:?} answers {answer:?}", self.variant))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It is waiting for requests; there is nothing that it could lose, and nobody left to tell of an error.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Remote<'a> {
    child: &'a Child,
    locks: &'a str,
}

impl Sampler for Remote<'_> {
    fn sample(&self, shape: Shape, times: u64) -> f64 {
        let answer = self.child.ask(&format!("{} {times} {shape}", self.locks));
        answer.ok().and_then(|figures| figures.first().copied()).unwrap_or(f64::NAN)
    }
}
