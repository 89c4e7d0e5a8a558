//! Source paths as people want to see them: relative to the workspace, or to the crate for a dependency.

use std::{collections::HashMap, path::Path};

use once_cell::sync::Lazy;
use parking_lot::Mutex;

/// Shortened names, by directory.
static PREFIXES: Lazy<Mutex<HashMap<String, usize>>> = Lazy::new(Default::default);

/// Returns a shorter name for a source file.
///
/// A file of a downloaded crate begins with the crate's name and version. Any other absolute path is relative to the
/// outermost directory above it that has a `Cargo.lock`, which is the workspace's. A relative path is left alone.
pub(super) fn shorten(file: &str) -> String {
    let file = &without_detours(file);
    if !file.starts_with('/') {
        return file.clone();
    }
    if let Some((_, in_registry)) = file.split_once("/registry/src/") {
        // What follows is the registry's own directory.
        return in_registry.split_once('/').map_or(in_registry, |(_, rest)| rest).to_owned();
    }
    let directory = file.rsplit_once('/').map_or("", |(directory, _)| directory);
    let cut = *PREFIXES.lock().entry(directory.to_owned()).or_insert_with(|| workspace_prefix(directory));
    file.get(cut..).unwrap_or(file).to_owned()
}

/// Returns the path without `.` and `dir/..`, which `#[path]` attributes leave in it.
fn without_detours(file: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in file.split('/') {
        match part {
            "." => {}
            ".." if parts.last().is_some_and(|last| !matches!(*last, "" | "..")) => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Returns the length of the part of `directory` (and the slash after it) that names the workspace.
fn workspace_prefix(directory: &str) -> usize {
    let workspaces = Path::new(directory).ancestors().filter(|above| above.join("Cargo.lock").is_file());
    workspaces.last().map_or(0, |root| root.as_os_str().len() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cut_where_the_reader_knows_them() {
        assert_eq!(shorten("src/main.rs"), "src/main.rs");
        assert_eq!(shorten("./src/main.rs"), "src/main.rs");
        assert_eq!(shorten("src/hooks/../runtime/./mod.rs"), "src/runtime/mod.rs");
        assert_eq!(shorten("../other/src/lib.rs"), "../other/src/lib.rs");
        assert_eq!(shorten("/home/u/.cargo/registry/src/host-1/dep-1.0/src/lib.rs"), "dep-1.0/src/lib.rs");
        assert_eq!(shorten("/nowhere/at/all.rs"), "/nowhere/at/all.rs");
        let own = concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs");
        assert_eq!(shorten(own), "lockdep/src/lib.rs");
    }
}
