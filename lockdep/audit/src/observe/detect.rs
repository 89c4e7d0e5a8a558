//! Tells the formats of observations apart by their first lines.

use lockdep_core::Journal;

use super::{Observation, proc_lockdep};
use crate::InputError;

/// The format of an observed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A lockdep journal.
    Journal,
    /// `/proc/lockdep`.
    ProcLockdep,
}

impl Format {
    /// Returns the format that a file's beginning shows.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let start = bytes.trim_ascii_start();
        if start.starts_with(b"{") {
            Some(Self::Journal)
        } else if start.starts_with(proc_lockdep::HEADER.as_bytes()) {
            Some(Self::ProcLockdep)
        } else {
            None
        }
    }
}

impl Observation {
    /// Reads an observed file of any known format. `name` is what errors call it.
    ///
    /// # Errors
    ///
    /// If the format is unknown, or the file is not what its beginning promises.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, InputError> {
        match Format::of(bytes) {
            Some(Format::Journal) => Ok(Self::from_journal(name, &Journal::parse(name, bytes)?)),
            Some(Format::ProcLockdep) => proc_lockdep::parse(name, text(name, bytes)?),
            None if bytes.is_empty() => Err(InputError::whole(name, "empty")),
            None if bytes.contains(&0) => Err(InputError::at(name, 1, "binary data: not an observation")),
            None => Err(InputError::at(name, 1, "not an observation: known are lockdep journals and /proc/lockdep")),
        }
    }
}

fn text<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str, InputError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count() + 1;
        InputError::at(name, line, "not UTF-8: not an observation")
    })
}
