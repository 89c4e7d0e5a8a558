//! The journal file: every line is written as soon as it is known, so a killed process loses nothing.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use lockdep_core::journal::{Header, Record, VERSION};

/// An open journal.
#[derive(Debug)]
pub(super) struct JournalFile {
    file: File,
    path: PathBuf,
}

impl JournalFile {
    /// Creates a journal in `directory`, named after the program and its process id.
    pub(super) fn create(directory: &Path) -> Result<Self, String> {
        let program = std::env::current_exe().ok();
        let program =
            program.as_deref().and_then(Path::file_stem).map_or("unknown".into(), |stem| stem.to_string_lossy());
        let pid = std::process::id();
        let failed = |path: &Path, err| format!("failed to create the journal {}: {err}", path.display());
        fs::create_dir_all(directory).map_err(|err| failed(directory, err))?;
        // A process id comes around again; a journal never changes hands.
        let names = std::iter::once(String::new()).chain((2..).map(|n| format!("-{n}")));
        for suffix in names {
            let path = directory.join(format!("{program}-{pid}{suffix}.jsonl"));
            match OpenOptions::new().append(true).create_new(true).open(&path) {
                Ok(file) => {
                    let mut journal = Self { file, path };
                    journal.append(&Record::Header(Header { version: VERSION, program: program.into_owned(), pid }))?;
                    return Ok(journal);
                }
                Err(err) if err.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(err) => return Err(failed(&path, err)),
            }
        }
        unreachable!("the names never end")
    }

    /// Appends a record.
    pub(super) fn append(&mut self, record: &Record) -> Result<(), String> {
        // One write a line: another process, or a kill, never sees half of one unless the disk is full.
        let written = self.file.write_all(record.to_line().as_bytes());
        written.map_err(|err| format!("failed to write to the journal {}: {err}", self.path.display()))
    }
}
