//! Where the simulator takes the documented paths, and by which names: `data/paths-places.txt`, read.

use std::collections::{BTreeMap, BTreeSet};

/// The table.
pub(super) const PLACES: &str = include_str!("../../data/paths-places.txt");

/// Operations that a path is looked for in: within the first, which has all the others inside.
pub(super) type Scopes = Vec<String>;

/// Where a path is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// The pair of the catalogue whose buggy run takes it, if it is one that no sound kernel takes.
    pub(super) pair: Option<String>,
    /// Any of these operations.
    pub(super) scopes: Vec<Scopes>,
}

/// The table of names and places.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// The classes of each documented lock.
    pub(super) locks: BTreeMap<String, Vec<String>>,
    /// Documented locks that the simulator does not have, and why.
    pub(super) lacking: BTreeMap<String, String>,
    /// The protocols of each documented kernel.
    pub(super) kernels: BTreeMap<String, Vec<String>>,
    /// Paths that begin with a lock that the caller has, who may have tried it, or nobody else can know of.
    pub(super) given: BTreeSet<String>,
    /// By path, or by path and kernel.
    paths: BTreeMap<String, Place>,
    /// Why a path is not taken, by `path @ kernel` or `path @ kernel under protocol`.
    pub(super) exceptions: BTreeMap<String, String>,
}

impl Places {
    /// Reads the table. An error names the line.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut places = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                places.line(line).ok_or_else(|| format!("line {number}: {line}"))?;
            }
        }
        Ok(places)
    }

    fn line(&mut self, line: &str) -> Option<()> {
        let (kind, rest) = line.split_once(' ')?;
        if kind == "given" {
            return self.given.insert(rest.to_owned()).then_some(());
        }
        let separator = if matches!(kind, "without" | "except") { ": " } else { " = " };
        let (name, value) = rest.split_once(separator)?;
        let (name, value) = (name.trim().to_owned(), value.trim());
        let words = |value: &str, by: &str| value.split(by).map(|word| word.trim().to_owned()).collect::<Vec<_>>();
        let is_new = match kind {
            "lock" => self.locks.insert(name, words(value, ",")).is_none(),
            "kernel" => self.kernels.insert(name, words(value, ",")).is_none(),
            "without" => self.lacking.insert(name, value.to_owned()).is_none(),
            "except" => self.exceptions.insert(name, value.to_owned()).is_none(),
            "path" => {
                let (pair, scopes) = match value.split_once(": ") {
                    Some((pair, scopes)) => (Some(pair.to_owned()), scopes),
                    None => (None, value),
                };
                let scopes = scopes.split('|').map(|scopes| words(scopes, ">")).collect();
                self.paths.insert(name, Place { pair, scopes }).is_none()
            }
            _ => false,
        };
        is_new.then_some(())
    }

    /// Returns where a path of a kernel is taken: what is said of that kernel goes before what is said of all.
    pub(super) fn of(&self, path: &str, kernel: &str) -> Option<&Place> {
        self.paths.get(&format!("{path} @ {kernel}")).or_else(|| self.paths.get(path))
    }

    /// Returns the names of the paths that it says anything of.
    pub(super) fn known(&self) -> impl Iterator<Item = &String> {
        self.paths.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_of_a_path_goes_before_the_path() {
        let places = Places::parse("path a = x > y | z\npath a @ 6.1 = V3: w\n").unwrap();
        let everywhere = places.of("a", "6.4").unwrap();
        assert_eq!(everywhere.scopes, [vec!["x".to_owned(), "y".to_owned()], vec!["z".to_owned()]]);
        let old = places.of("a", "6.1").unwrap();
        assert_eq!((old.pair.as_deref(), old.scopes.len()), (Some("V3"), 1));
        assert!(Places::parse("path a = x\npath a = y\n").is_err(), "a path has one place");
        assert_eq!(Places::parse("\nlook a = b\n").unwrap_err(), "line 2: look a = b");
    }
}
