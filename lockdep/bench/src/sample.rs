//! Samples of known acquisitions: nanoseconds per lock and unlock, the order being known.

use std::{fmt, str::FromStr, time::Instant};

use crate::{
    locks::{CLASSES, Lock, spin},
    sites,
};

/// Which lock and which of its operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Lock and unlock a mutex.
    Mutex,
    /// Lock and unlock a readers-writer lock for reading.
    Read,
    /// Lock and unlock a readers-writer lock for writing.
    Write,
}

impl Op {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Mutex, Self::Read, Self::Write];
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mutex => "mutex",
            Self::Read => "read",
            Self::Write => "write",
        })
    }
}

impl FromStr for Op {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|op| op.to_string() == text).ok_or_else(|| format!("no operation {text:?}"))
    }
}

/// What to take a sample of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The operation.
    pub op: Op,
    /// How many locks are held, the measured one included; 1 to 8.
    pub depth: usize,
    /// How many lines of the program take turns at acquiring; 1 or [`sites::COUNT`].
    pub sites: usize,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.op, self.depth, self.sites)
    }
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split(' ').collect();
        let [op, depth, sites] = words[..] else { return Err(format!("no shape {text:?}")) };
        let number = |word: &str| word.parse::<usize>().map_err(|err| format!("{word:?}: {err}"));
        Ok(Self { op: op.parse()?, depth: number(depth)?.clamp(1, CLASSES.len()), sites: number(sites)? })
    }
}

/// Takes samples of one lock, whose instances live as long as this does, so that their order is learnt once.
pub trait Sampler {
    /// Acquires and releases the innermost of `shape.depth` locks `times` times. Returns nanoseconds per time.
    fn sample(&self, shape: Shape, times: u64) -> f64;
}

/// The three operations of one lock.
pub struct Family<M, R, W> {
    mutex: [M; 8],
    read: [R; 8],
    write: [W; 8],
}

impl<M: Lock, R: Lock, W: Lock> Family<M, R, W> {
    /// Makes the locks.
    pub fn new() -> Self {
        Self {
            mutex: CLASSES.each_ref().map(M::new),
            read: CLASSES.each_ref().map(R::new),
            write: CLASSES.each_ref().map(W::new),
        }
    }
}

impl<M: Lock, R: Lock, W: Lock> Sampler for Family<M, R, W> {
    fn sample(&self, shape: Shape, times: u64) -> f64 {
        match shape.op {
            Op::Mutex => innermost(&self.mutex, shape, times),
            Op::Read => innermost(&self.read, shape, times),
            Op::Write => innermost(&self.write, shape, times),
        }
    }
}

fn innermost<L: Lock>(locks: &[L; 8], shape: Shape, times: u64) -> f64 {
    let (inner, outer) = locks[..shape.depth].split_last().expect("at least one lock");
    let outer: Vec<_> = outer.iter().map(L::acquire).collect();
    let run = if shape.sites == 1 { spin::<L> } else { sites::spin::<L> };
    let times = times.next_multiple_of(shape.sites as u64);
    // Once through all lines, so that what follows is known.
    run(inner, shape.sites as u64);
    let start = Instant::now();
    run(inner, times);
    let elapsed = start.elapsed();
    drop(outer);
    elapsed.as_secs_f64() * 1e9 / times as f64
}
