//! Reads input files; every failure is an [`InputError`].

use std::{io::Write, path::Path};

use lockdep_audit::InputError;

/// Reads a whole file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, InputError> {
    std::fs::read(path).map_err(|error| InputError::whole(&name(path), reason(&error)))
}

/// The name that messages give a file.
pub(crate) fn name(path: &Path) -> String {
    path.display().to_string()
}

/// Writes to standard output. A reader that has gone away is no failure.
pub(crate) fn print(text: &str) -> Result<(), InputError> {
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(InputError::whole("standard output", reason(&error)))
        }
        _ => Ok(()),
    }
}

/// An operating system's complaint without its number, in lower case.
pub(crate) fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_lowercase().chain(chars).collect())
}
