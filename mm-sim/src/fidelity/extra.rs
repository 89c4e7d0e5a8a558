//! Why the simulator does what a kernel was not seen to do.

use std::collections::BTreeMap;

use lockdep_audit::InputError;

use super::graph::Pair;

const EXTRAS: &str = include_str!("../../data/fidelity-extras.txt");
const EXTRAS_FILE: &str = "mm-sim/data/fidelity-extras.txt";
/// What is said of a dependency that the file does not have.
const UNEXPLAINED: &str = "unexplained";

/// The explanations by dependency.
pub(super) struct Explanations(BTreeMap<Pair, String>);

impl Explanations {
    /// Those of `data/fidelity-extras.txt`.
    pub(super) fn builtin() -> Self {
        Self::parse(EXTRAS_FILE, EXTRAS).expect("the built-in file is read by the tests")
    }

    /// Reads lines `OUTER -> INNER = WHY`.
    fn parse(file: &str, text: &str) -> Result<Self, InputError> {
        let mut explanations = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let parts = || {
                let (pair, why) = line.split_once(" = ")?;
                let (outer, inner) = pair.split_once(" -> ")?;
                Some(((outer.trim().to_owned(), inner.trim().to_owned()), why.trim().to_owned()))
            };
            let error = |reason: &str| InputError::at(file, index + 1, reason);
            let (pair, why) = parts().ok_or_else(|| error("not `OUTER -> INNER = WHY`"))?;
            if explanations.insert(pair, why).is_some() {
                return Err(error("explained twice"));
            }
        }
        Ok(Self(explanations))
    }

    /// Returns why there is this dependency here.
    pub(super) fn of(&self, pair: &Pair) -> &str {
        self.0.get(pair).map_or(UNEXPLAINED, String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_explains_a_dependency_and_a_bad_one_is_named() {
        let read = Explanations::parse("f", "# why\n\na -> b = the kernel was not asked to\n").unwrap();
        assert_eq!(read.of(&("a".into(), "b".into())), "the kernel was not asked to");
        assert_eq!(read.of(&("b".into(), "a".into())), UNEXPLAINED);
        let error = |text: &str| Explanations::parse("f", text).err().map(|error| error.to_string());
        assert_eq!(error("a -> b\n").as_deref(), Some("f:1: not `OUTER -> INNER = WHY`"));
        assert_eq!(error("a -> b = x\na -> b = y\n").as_deref(), Some("f:2: explained twice"));
    }
}
