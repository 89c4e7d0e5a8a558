//! Why mutants survive: `data/mutants-survivors.txt`, lines `MUTANT = REASON`.
//!
//! A reason that holds only under some protocols says so: `under 6.1, 6.4: MUTANT = REASON`. A mutant may have several lines,
//! each for other protocols. Under a protocol only the lines that hold there count: for the reasons, and for those that
//! nothing needs any more.

use std::collections::BTreeMap;

use lockdep_audit::InputError;

use crate::protocol::Protocol;

const SURVIVORS: &str = include_str!("../../data/mutants-survivors.txt");
const SURVIVORS_FILE: &str = "mm-sim/data/mutants-survivors.txt";
/// What is said of a survivor that the file does not have.
pub(super) const UNEXPLAINED: &str = "unexplained";

/// The reasons that hold under a protocol, by the names of the mutants.
pub(super) struct Reasons(BTreeMap<&'static str, &'static str>);

impl Reasons {
    /// Reads those that hold under a protocol.
    pub(super) fn read(protocol: &Protocol) -> Result<Self, InputError> {
        Self::parse(SURVIVORS, protocol)
    }

    fn parse(text: &'static str, protocol: &Protocol) -> Result<Self, InputError> {
        let mut lines: Vec<Line<'_>> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let error = |reason: String| InputError::at(SURVIVORS_FILE, index + 1, reason);
            let line = Line::parse(line).map_err(error)?;
            if lines.iter().any(|other| other.contends_with(&line)) {
                return Err(error(format!("`{}` has a reason there already", line.mutant)));
            }
            lines.push(line);
        }
        let holds = lines.into_iter().filter(|line| line.under.is_empty() || line.under.contains(&protocol.name));
        Ok(Self(holds.map(|line| (line.mutant, line.reason)).collect()))
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

/// A line of the file.
struct Line<'t> {
    /// The names of the protocols under which it holds; none if it always does.
    under: Vec<&'t str>,
    mutant: &'t str,
    reason: &'t str,
}

impl<'t> Line<'t> {
    fn parse(line: &'t str) -> Result<Self, String> {
        let (head, reason) = line.split_once(" = ").ok_or("not `MUTANT = REASON`")?;
        let (mutant, reason) = (head.trim(), reason.trim());
        if reason.is_empty() {
            return Err("there is no reason".to_owned());
        }
        let Some(limited) = mutant.strip_prefix("under ") else {
            return Ok(Self { under: Vec::new(), mutant, reason });
        };
        let (names, mutant) = limited.split_once(": ").ok_or("not `under PROTOCOL, ...: MUTANT = REASON`")?;
        let under: Vec<_> = names.split(',').map(str::trim).collect();
        match under.iter().find(|name| Protocol::named(name).is_none()) {
            Some(unknown) => Err(format!("there is no protocol `{unknown}`")),
            None => Ok(Self { under, mutant: mutant.trim(), reason }),
        }
    }

    /// Returns whether both give the same mutant a reason under the same protocol.
    fn contends_with(&self, other: &Self) -> bool {
        let is_limited = !self.under.is_empty() && !other.under.is_empty();
        self.mutant == other.mutant && !(is_limited && self.under.iter().all(|name| !other.under.contains(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &'static str) -> String {
        Reasons::parse(text, &Protocol::V6_12).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn the_reasons_are_read() {
        let reasons = Reasons::read(&Protocol::V6_12).unwrap();
        assert_eq!(reasons.of("skip what is not there"), UNEXPLAINED);
        assert!(reasons.unneeded(|_| true).is_empty());
        let first = *reasons.0.keys().next().expect("some survive");
        assert_eq!(reasons.unneeded(|mutant| mutant != first), [first]);
    }

    #[test]
    fn a_reason_may_hold_under_some_protocols_only() {
        let text = "# Why\nskip a = always\nunder 6.1, 6.4: skip b = old\nunder 6.12: skip b = new\n";
        let under = |protocol| Reasons::parse(text, &protocol).unwrap();
        assert_eq!((under(Protocol::V6_1).of("skip a"), under(Protocol::V6_12).of("skip a")), ("always", "always"));
        assert_eq!((under(Protocol::V6_4).of("skip b"), under(Protocol::V6_12).of("skip b")), ("old", "new"));
        assert_eq!(under(Protocol::V6_6).of("skip b"), UNEXPLAINED);
        assert_eq!(under(Protocol::V6_6).unneeded(|_| false), ["skip a"], "the other one is of other protocols");
        assert_eq!(under(Protocol::V6_1).unneeded(|_| false), ["skip a", "skip b"]);
    }

    #[test]
    fn a_line_that_is_wrong_is_named() {
        let at = |line: u32, reason: &str| format!("{SURVIVORS_FILE}:{line}: {reason}");
        assert_eq!(error("skip a"), at(1, "not `MUTANT = REASON`"));
        assert_eq!(error("\nskip a = "), at(2, "there is no reason"));
        assert_eq!(error("under 6.1 skip a = b"), at(1, "not `under PROTOCOL, ...: MUTANT = REASON`"));
        assert_eq!(error("under 6.1, 5.x: skip a = b"), at(1, "there is no protocol `5.x`"));
        assert_eq!(error("skip a = b\nunder 6.4: skip a = c"), at(2, "`skip a` has a reason there already"));
        assert_eq!(error("under 6.1: a = b\nunder 6.4: a = c"), "", "one does not hold where the other does");
        assert_eq!(error("under 6.1: a = b\nunder 6.4, 6.1: a = c"), at(2, "`a` has a reason there already"));
    }
}
