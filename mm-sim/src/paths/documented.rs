//! The documented paths: `data/paths.txt`, read.

use lockdep_audit::InputError;

/// What a step does with its lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Does {
    /// Takes it for reading.
    Read,
    /// Takes it for writing, or as its only holder.
    Write,
    /// Takes a pseudo lock.
    Map,
    /// Lets go of what it took last of this name.
    Release,
    /// Goes on as a reader.
    Downgrade,
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// The documented name of the lock.
    pub(super) lock: String,
    pub(super) does: Does,
    /// Whether it does not wait.
    pub(super) tries: bool,
    /// The level within the class.
    pub(super) level: u8,
    /// Whether it nests under another lock.
    pub(super) under: bool,
    /// Whether it is the mark of a write-locked VMA: taken, and dropped at once.
    pub(super) mark: bool,
    /// Whether it is a lock that the path begins with, and that the caller may have tried.
    pub(super) given: bool,
    /// As it stands in the file.
    pub(super) text: String,
}

/// A documented path of some kernels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Documented {
    pub(super) path: String,
    pub(super) kernel: String,
    pub(super) steps: Vec<Step>,
    /// Where it stands in the file.
    pub(super) line: usize,
}

/// Reads the table of paths. An error says where `text` of `file` is not one.
pub(super) fn parse(file: &str, text: &str) -> Result<Vec<Documented>, InputError> {
    let mut paths: Vec<Documented> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let bad = |reason: String| InputError::at(file, number, reason);
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        if !line.starts_with(' ') {
            let (path, kernel) = line.split_once(" @ ").ok_or_else(|| bad("no ` @ ` after the name".to_owned()))?;
            if paths.iter().any(|known| known.path == path && known.kernel == kernel) {
                return Err(bad(format!("{line} a second time")));
            }
            let (path, kernel) = (path.to_owned(), kernel.trim().to_owned());
            paths.push(Documented { path, kernel, steps: Vec::new(), line: number });
            continue;
        }
        let last = paths.last_mut().ok_or_else(|| bad("a step without a path".to_owned()))?;
        for word in line.split_whitespace() {
            last.steps.push(step(word).ok_or_else(|| bad(format!("not a step: {word}")))?);
        }
    }
    if let Some(empty) = paths.iter().find(|path| path.steps.is_empty()) {
        return Err(InputError::at(file, empty.line, "a path without steps"));
    }
    Ok(paths)
}

fn step(word: &str) -> Option<Step> {
    let (what, flags) = word.split_once('!').unwrap_or((word, ""));
    let (lock, does) = what.split_once(':')?;
    let does = match does {
        "read" => Does::Read,
        "write" | "exclusive" => Does::Write,
        "map" => Does::Map,
        "release" => Does::Release,
        "downgrade" => Does::Downgrade,
        _ => return None,
    };
    let (lock, text) = (lock.to_owned(), word.to_owned());
    let mut step = Step { lock, does, tries: false, level: 0, under: false, mark: false, given: false, text };
    for flag in flags.split(',').filter(|flag| !flag.is_empty()) {
        match flag.split_once('=') {
            None if flag == "try" => step.tries = true,
            None if flag == "seq-write" => step.mark = true,
            Some(("nested", level)) => step.level = level.parse().ok()?,
            Some(("nest_lock", _)) => step.under = true,
            _ => return None,
        }
    }
    Some(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_its_steps_and_a_bad_line_its_number() {
        let paths = parse("f", "a @ 6.1\n    ptl:exclusive!try,nested=1\n    ptl:release\n").unwrap();
        let [path] = paths.as_slice() else { panic!("{paths:?}") };
        let [taken, released] = path.steps.as_slice() else { panic!("{path:?}") };
        assert_eq!((taken.does, taken.tries, taken.level), (Does::Write, true, 1));
        assert_eq!(released.does, Does::Release);
        let error = |text: &str| parse("f", text).unwrap_err().to_string();
        assert_eq!(error("a @ 6.1\n    ptl:forever\n"), "f:2: not a step: ptl:forever");
        assert_eq!(error("    ptl:exclusive\n"), "f:1: a step without a path");
        assert_eq!(error("a\n"), "f:1: no ` @ ` after the name");
        assert_eq!(error("a @ 6.1\n\nb @ 6.1\n  ptl:read\n"), "f:1: a path without steps");
        assert_eq!(error("a @ 6.1\n ptl:read\na @ 6.1\n"), "f:3: a @ 6.1 a second time");
    }
}
