//! Where the simulator takes the documented paths, and by which names: `data/paths-places.txt`, read.

use std::collections::{BTreeMap, BTreeSet};

use lockdep_audit::InputError;

/// Operations that a path is looked for in: within the first, which has all the others inside.
pub(super) type Scope = Vec<String>;

/// Where a path is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// The pair of the catalogue whose buggy run takes it, if it is one that no sound kernel takes.
    pub(super) pair: Option<String>,
    /// Any of these.
    pub(super) scopes: Vec<Scope>,
}

/// What a line says, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Said<T> {
    pub(super) line: usize,
    pub(super) what: T,
}

/// The lines of one sort, by the name that each of them is about.
type Lines<T> = BTreeMap<String, Said<T>>;

/// The table of names and places.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    /// The classes of each documented lock.
    pub(super) locks: Lines<Vec<String>>,
    /// Documented locks that the simulator does not have, and why.
    pub(super) without: Lines<String>,
    /// The protocols of each documented kernel.
    pub(super) kernels: Lines<Vec<String>>,
    /// Paths that begin with a lock that the caller has, who may have tried it, or nobody else can know of.
    pub(super) given: Lines<()>,
    /// By path, or by `path @ kernel`.
    pub(super) paths: Lines<Place>,
    /// Why a path is not taken, by `path @ kernel` or `path @ kernel under protocol`.
    pub(super) exceptions: Lines<String>,
}

impl Places {
    /// Reads the table. An error says where `text` of `file` is not one.
    pub(super) fn parse(file: &str, text: &str) -> Result<Self, InputError> {
        let mut places = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                places.line(number, line).map_err(|reason| InputError::at(file, number, reason))?;
            }
        }
        Ok(places)
    }

    fn line(&mut self, number: usize, line: &str) -> Result<(), String> {
        let (kind, rest) = line.split_once(' ').ok_or_else(|| format!("nothing after {line}"))?;
        let split = |by: &str| {
            let (name, value) = rest.split_once(by).ok_or_else(|| format!("no `{}` after {kind} {rest}", by.trim()))?;
            Ok::<_, String>((name.trim().to_owned(), value.trim()))
        };
        let words = |value: &str, by: &str| value.split(by).map(|word| word.trim().to_owned()).collect::<Vec<_>>();
        match kind {
            "lock" => split(" = ").and_then(|(name, value)| add(&mut self.locks, number, name, words(value, ","))),
            "kernel" => split(" = ").and_then(|(name, value)| add(&mut self.kernels, number, name, words(value, ","))),
            "without" => split(": ").and_then(|(name, why)| add(&mut self.without, number, name, why.to_owned())),
            "except" => split(": ").and_then(|(name, why)| add(&mut self.exceptions, number, name, why.to_owned())),
            "given" => add(&mut self.given, number, rest.trim().to_owned(), ()),
            "path" => {
                let (name, value) = split(" = ")?;
                let (pair, scopes) = match value.split_once(": ") {
                    Some((pair, scopes)) => (Some(pair.to_owned()), scopes),
                    None => (None, value),
                };
                let scopes = scopes.split('|').map(|scope| words(scope, ">")).collect();
                add(&mut self.paths, number, name, Place { pair, scopes })
            }
            _ => Err(format!("no such line: {kind}")),
        }
    }

    /// Returns where a path of a kernel is taken: what is said of that kernel goes before what is said of all.
    pub(super) fn of(&self, path: &str, kernel: &str) -> Option<&Place> {
        let said = self.paths.get(&format!("{path} @ {kernel}")).or_else(|| self.paths.get(path));
        said.map(|said| &said.what)
    }

    /// Returns the name and the reason of the exception for a row, if there is one: what is said of the protocol goes
    /// before what is said of all.
    pub(super) fn exception(&self, path: &str, kernel: &str, protocol: Option<&str>) -> Option<(&str, &str)> {
        let general = format!("{path} @ {kernel}");
        let special = protocol.map(|protocol| format!("{general} under {protocol}"));
        let mut known = special.into_iter().chain([general]);
        let (name, said) = known.find_map(|name| self.exceptions.get_key_value(&name))?;
        Some((name, &said.what))
    }

    /// Returns whether a documented lock may be of a class.
    pub(super) fn is_class(&self, lock: &str, class: &str) -> bool {
        self.locks.get(lock).is_some_and(|said| said.what.iter().any(|known| known == class))
    }

    /// Returns the documented name of a class, the one that says most; the class itself if it has none.
    pub(super) fn name_of<'n>(&'n self, class: &'n str) -> &'n str {
        let named = self.locks.iter().filter(|(_, said)| said.what.iter().any(|known| known == class));
        named.min_by_key(|(_, said)| said.what.len()).map_or(class, |(name, _)| name)
    }

    /// Returns all classes of documented locks.
    pub(super) fn classes(&self) -> BTreeSet<&str> {
        self.locks.values().flat_map(|said| &said.what).map(String::as_str).collect()
    }
}

fn add<T>(lines: &mut Lines<T>, line: usize, name: String, what: T) -> Result<(), String> {
    match lines.get(&name) {
        Some(said) => Err(format!("{name} a second time, after line {}", said.line)),
        None => {
            lines.insert(name, Said { line, what });
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_of_a_path_goes_before_the_path() {
        let places = Places::parse("f", "path a = x > y | z\npath a @ 6.1 = V3: w\n").unwrap();
        let everywhere = places.of("a", "6.4").unwrap();
        assert_eq!(everywhere.scopes, [vec!["x".to_owned(), "y".to_owned()], vec!["z".to_owned()]]);
        let old = places.of("a", "6.1").unwrap();
        assert_eq!((old.pair.as_deref(), old.scopes.len()), (Some("V3"), 1));
    }

    #[test]
    fn the_protocol_of_an_exception_goes_before_the_kernel() {
        let places = Places::parse("f", "except a @ 6.1: one\nexcept a @ 6.1 under 6.4: two\n").unwrap();
        let why = |protocol| places.exception("a", "6.1", protocol).map(|(_, why)| why);
        assert_eq!((why(Some("6.4")), why(Some("6.6")), why(None)), (Some("two"), Some("one"), Some("one")));
        assert_eq!(places.exception("b", "6.1", None), None);
    }

    #[test]
    fn a_bad_line_has_its_number_and_a_reason() {
        let error = |text: &str| Places::parse("f", text).unwrap_err().to_string();
        assert_eq!(error("\nlook a = b\n"), "f:2: no such line: look");
        assert_eq!(error("path a = x\npath a = y\n"), "f:2: a a second time, after line 1");
        assert_eq!(error("except a\n"), "f:1: no `:` after except a");
        assert_eq!(error("lock\n"), "f:1: nothing after lock");
    }
}
