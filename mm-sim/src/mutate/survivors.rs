//! Why mutants survive: `data/mutants-survivors.txt`, lines `MUTANT = REASON`.

use std::collections::BTreeMap;

use lockdep_audit::InputError;

const SURVIVORS: &str = include_str!("../../data/mutants-survivors.txt");
const SURVIVORS_FILE: &str = "mm-sim/data/mutants-survivors.txt";
/// What is said of a survivor that the file does not have.
pub(super) const UNEXPLAINED: &str = "unexplained";

/// The reasons, by the names of the mutants.
pub(super) struct Reasons(BTreeMap<&'static str, &'static str>);

impl Reasons {
    pub(super) fn read() -> Result<Self, InputError> {
        let mut reasons = BTreeMap::new();
        for (index, line) in SURVIVORS.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let error = |reason: &str| InputError::at(SURVIVORS_FILE, index + 1, reason);
            let (name, reason) = line.split_once(" = ").ok_or_else(|| error("not `MUTANT = REASON`"))?;
            if reasons.insert(name.trim(), reason.trim()).is_some() {
                return Err(error("this mutant is there twice"));
            }
        }
        Ok(Self(reasons))
    }

    /// Returns why a mutant survives.
    pub(super) fn of(&self, mutant: &str) -> &'static str {
        self.0.get(mutant).unwrap_or(&UNEXPLAINED)
    }

    /// Returns the mutants that have a reason and are not among those that survive.
    pub(super) fn unneeded(&self, survives: impl Fn(&str) -> bool) -> Vec<&'static str> {
        self.0.keys().copied().filter(|mutant| !survives(mutant)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reasons_are_read() {
        let reasons = Reasons::read().unwrap();
        assert_eq!(reasons.of("skip what is not there"), UNEXPLAINED);
        assert!(reasons.unneeded(|_| true).is_empty());
        let first = *reasons.0.keys().next().expect("some survive");
        assert_eq!(reasons.unneeded(|mutant| mutant != first), [first]);
    }
}
