//! [`InputError`]: why an input cannot be read, with file and line.

use std::fmt;

use lockdep_core::JournalError;

/// A place in an input that makes it unusable.
///
/// Displays as `file:line: reason`, or `file: reason` where no line is to blame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputError {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1; 0 where the whole file is meant.
    pub line: usize,
    /// What is wrong, as a lowercase fragment.
    pub reason: String,
}

impl InputError {
    /// An error at a line.
    pub fn at(file: &str, line: usize, reason: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, reason: reason.into() }
    }

    /// An error that concerns the whole file.
    pub fn whole(file: &str, reason: impl Into<String>) -> Self {
        Self::at(file, 0, reason)
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.reason),
            line => write!(f, "{}:{line}: {}", self.file, self.reason),
        }
    }
}

impl std::error::Error for InputError {}

impl From<JournalError> for InputError {
    fn from(error: JournalError) -> Self {
        Self { file: error.file, line: error.line, reason: error.reason }
    }
}
