//! What the tests of the command share: a scratch directory, the command run in it, kernel data.

#![allow(dead_code, reason = "each test uses its own part")]

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

/// What a run printed.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A directory of its own, removed at the end.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("cargo-lockdep-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    pub(crate) fn fixture(&self, name: &str) -> &Self {
        self.write(name, fixture(name))
    }

    pub(crate) fn run(&self, arguments: &str) -> Run {
        let output = Command::new(env!("CARGO_BIN_EXE_cargo-lockdep"))
            .args(arguments.split(' '))
            .current_dir(&self.0)
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../audit/tests/fixtures").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The directory of real kernel data, or nothing and a loud line.
pub(crate) fn kernel_data(test: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/kernel");
    let root = std::env::var_os("LOCKDEP_KERNEL_DATA").map_or(beside, PathBuf::from);
    let data = root.join("6.12");
    if data.join("lockdep.txt").is_file() {
        return Some(data);
    }
    skipped(&format!("{test}: no kernel data in {} (set LOCKDEP_KERNEL_DATA)", root.display()));
    None
}

/// Says that a test did not run, past the test harness, which would keep it to itself.
pub(crate) fn skipped(what: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what}");
}
