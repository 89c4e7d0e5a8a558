//! Tells the formats of observations apart by their first lines.

use std::borrow::Cow;

use lockdep_core::Journal;

use super::{Observation, Source, events, log, proc_lockdep, proc_lockdep_chains, trace};
use crate::InputError;

/// The format of an observed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A lockdep journal.
    Journal,
    /// A trace of events, one JSON object a line.
    Events,
    /// `/proc/lockdep`.
    ProcLockdep,
    /// `/proc/lockdep_chains`.
    ProcLockdepChains,
    /// ftrace text.
    Trace,
    /// `perf script` output.
    Perf,
    /// A kernel log.
    Log,
}

/// How many lines a log or a trace may begin with before what tells its format.
const HEAD_LINES: usize = 100_000;

impl Format {
    /// Returns the format that a file's beginning shows.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let start = bytes.trim_ascii_start();
        if events::is_trace(start) {
            return Some(Self::Events);
        }
        if start.starts_with(b"{") {
            return Some(Self::Journal);
        }
        if start.starts_with(proc_lockdep::HEADER.as_bytes()) {
            return Some(Self::ProcLockdep);
        }
        if proc_lockdep_chains::HEADERS.iter().any(|header| start.starts_with(header.as_bytes())) {
            return Some(Self::ProcLockdepChains);
        }
        lossy(bytes).lines().take(HEAD_LINES).find_map(|line| match line {
            line if trace::is_perf(line) => Some(Self::Perf),
            line if trace::is_event(line) => Some(Self::Trace),
            line if log::is_title(line) => Some(Self::Log),
            _ => None,
        })
    }
}

/// The text of a file. It mostly is one, which is quickly seen.
fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

impl Observation {
    /// Reads an observed file of any known format. `name` is what errors call it.
    ///
    /// # Errors
    ///
    /// If the format is unknown, or the file is not what its beginning promises.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, InputError> {
        match Format::of(bytes) {
            _ if bytes.is_empty() => Err(InputError::whole(name, "empty")),
            Some(Format::Journal) => Ok(Self::from_journal(name, &Journal::parse(name, bytes)?)),
            Some(Format::Events) => events::parse(name, bytes),
            Some(Format::ProcLockdep) => dump(name, bytes, proc_lockdep::parse),
            Some(Format::ProcLockdepChains) => dump(name, bytes, proc_lockdep_chains::parse),
            Some(Format::Trace) => trace::parse(name, &lossy(bytes), Source::Trace),
            Some(Format::Perf) => trace::parse(name, &lossy(bytes), Source::Perf),
            Some(Format::Log) => log::parse(name, &lossy(bytes)),
            None if bytes.contains(&0) => Err(InputError::at(name, 1, "binary data: not an observation")),
            None => Err(InputError::at(
                name,
                1,
                "not an observation: known are lockdep journals and traces, /proc/lockdep, /proc/lockdep_chains, ftrace and \
                 perf script text of lock events, kernel logs with reports of lockdep",
            )),
        }
    }
}

/// Reads a kernel's dump. What is wrong with a last line that does not end is that it was cut.
fn dump(
    name: &str,
    bytes: &[u8],
    parse: impl Fn(&str, &str) -> Result<Observation, InputError>,
) -> Result<Observation, InputError> {
    let text = text(name, bytes)?;
    parse(name, text).map_err(|error| match !text.ends_with('\n') && error.line == text.lines().count() {
        true => InputError::at(name, error.line, "the dump is cut: its last line does not end"),
        false => error,
    })
}

fn text<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str, InputError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count() + 1;
        InputError::at(name, line, "not UTF-8: not an observation")
    })
}
