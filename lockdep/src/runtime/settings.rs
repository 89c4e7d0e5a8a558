//! [`Settings`]: what the environment says.

use std::path::PathBuf;

use lockdep_core::FailOn;

use crate::Policy;

/// What the environment says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) on: bool,
    pub(super) policy: Policy,
    pub(super) fail_on: FailOn,
    pub(super) journal: Option<PathBuf>,
    pub(super) trace: Option<PathBuf>,
    /// In bytes; 0 is no limit.
    pub(super) budget: usize,
    pub(super) statistics: bool,
    pub(super) held_table: bool,
    pub(super) summary: bool,
    pub(super) complaints: Vec<String>,
}

impl Settings {
    pub(super) fn from_environment() -> Self {
        let words = std::env::var("LOCKDEP").unwrap_or_default();
        let path = |name| std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        Self { trace: path("LOCKDEP_TRACE"), ..Self::parse(&words, path("LOCKDEP_OUT")) }
    }

    /// Reads words between commas.
    fn parse(words: &str, journal: Option<PathBuf>) -> Self {
        let mut settings = Self {
            on: true,
            policy: Policy::default(),
            fail_on: FailOn::default(),
            journal,
            trace: None,
            budget: 0,
            statistics: false,
            held_table: false,
            summary: false,
            complaints: Vec::new(),
        };
        for word in words.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            if let Some(grade) = word.strip_prefix("fail=") {
                match grade.parse() {
                    Ok(fail_on) => settings.fail_on = fail_on,
                    Err(err) => settings.complaints.push(format!("LOCKDEP={word}: {err}")),
                }
                continue;
            }
            if let Some(size) = word.strip_prefix("budget=") {
                match size_in_bytes(size) {
                    Ok(bytes) => settings.budget = bytes,
                    Err(err) => settings.complaints.push(format!("LOCKDEP={word}: {err}")),
                }
                continue;
            }
            match (word, word.parse()) {
                ("off", _) => settings.on = false,
                ("stat", _) => settings.statistics = true,
                ("held", _) => settings.held_table = true,
                ("summary", _) => settings.summary = true,
                (_, Ok(policy)) => settings.policy = policy,
                (_, Err(err)) => settings
                    .complaints
                    .push(format!("LOCKDEP={word}: {err}; also known: off, stat, held, summary, fail=, budget=")),
            }
        }
        settings
    }
}

/// Reads a size: a number with or without `K`, `M` or `G`.
fn size_in_bytes(text: &str) -> Result<usize, String> {
    let (digits, shift) = match text.strip_suffix(['K', 'M', 'G']) {
        Some(digits) if text.ends_with('K') => (digits, 10),
        Some(digits) if text.ends_with('M') => (digits, 20),
        Some(digits) => (digits, 30),
        None => (text, 0),
    };
    let number: usize = digits.parse().map_err(|_| format!("{text:?} is no size (like 64M)"))?;
    number.checked_mul(1 << shift).filter(|bytes| *bytes > 0).ok_or_else(|| format!("{text:?} is no useful size"))
}

#[cfg(test)]
mod tests {
    use lockdep_core::Grade;

    use super::*;

    #[test]
    fn the_environment_is_read_and_a_wrong_word_harms_nobody() {
        assert!(Settings::parse("", None).on);
        assert_eq!(Settings::parse("print", None).policy, Policy::Print);
        assert!(!Settings::parse("off", None).on);
        assert!(!Settings::parse("", None).fail_on.fails(Grade::Gated));
        assert!(Settings::parse("print,fail=all", None).fail_on.fails(Grade::Gated));
        assert_eq!(Settings::parse("fail=some", None).complaints.len(), 1);
        let all = Settings::parse("stat,budget=2K,collect", None);
        assert_eq!((all.statistics, all.budget, all.policy, all.complaints.len()), (true, 2048, Policy::Collect, 0));
        assert_eq!(Settings::parse("budget=much", None).complaints.len(), 1);
        let wrong = Settings::parse("print, prnt", None);
        assert_eq!((wrong.on, wrong.policy, wrong.complaints.len()), (true, Policy::Print, 1));
    }

    #[test]
    fn sizes_are_read() {
        assert_eq!(size_in_bytes("64M"), Ok(64 << 20));
        assert_eq!(size_in_bytes("1000"), Ok(1000));
        assert_eq!(size_in_bytes("2G").unwrap(), 2 << 30);
        assert!(["", "M", "0", "12X", "-3", "99999999999999999999G"].iter().all(|text| size_in_bytes(text).is_err()));
    }
}
