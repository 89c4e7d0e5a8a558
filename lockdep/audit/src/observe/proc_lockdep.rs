//! `/proc/lockdep` of a Linux kernel.
//!
//! ```text
//! all lock classes:
//! 00000000cff06e65 OPS:      88 FD:  217 BD:    6 +.+.: cgroup_mutex
//!  -> [0000000023d0a426] pcpu_alloc_mutex
//!
//! ```
//!
//! `OPS` and `FD BD usage` depend on the kernel's configuration. The key in front is hashed anew at each boot, so that
//! it tells dumps of different boots apart. Dependencies come without their kinds; those across a trylock are left out.

use std::collections::HashMap;

use lockdep_core::Site;

use super::{Observation, Source, Witness};
use crate::InputError;

pub(super) const HEADER: &str = "all lock classes:";

/// Reads the file.
pub(super) fn parse(file: &str, text: &str) -> Result<Observation, InputError> {
    let mut reader = Reader {
        file,
        observation: Observation::new(file, Source::ProcLockdep),
        keys: HashMap::new(),
        current: None,
        pending: Vec::new(),
    };
    let mut last = 0;
    for (index, line) in text.lines().enumerate() {
        reader.line(index + 1, line)?;
        last = index + 1;
    }
    reader.finish(last, text)
}

struct Reader<'a> {
    file: &'a str,
    observation: Observation,
    /// Class and defining line by key.
    keys: HashMap<u64, usize>,
    current: Option<usize>,
    /// Dependencies, whose inner class may be defined later.
    pending: Vec<(usize, u64, &'a str, usize)>,
}

impl<'a> Reader<'a> {
    fn error(&self, line: usize, reason: impl Into<String>) -> InputError {
        InputError::at(self.file, line, reason)
    }

    fn line(&mut self, number: usize, line: &'a str) -> Result<(), InputError> {
        if number == 1 {
            return Ok(());
        }
        if line.trim().is_empty() {
            self.current = None;
        } else if line == HEADER {
            return Err(self.error(number, "a second header: two dumps, perhaps of different boots, in one file"));
        } else if let Some(rest) = line.strip_prefix(" -> [") {
            let outer = self.current.ok_or_else(|| self.error(number, "a dependency without a class before it"))?;
            let (key, name) =
                rest.split_once("] ").ok_or_else(|| self.error(number, "not a dependency: `] ` is missing"))?;
            let key = self.key(number, key)?;
            self.pending.push((outer, key, name, number));
        } else {
            self.class(number, line)?;
        }
        Ok(())
    }

    fn key(&self, number: usize, text: &str) -> Result<u64, InputError> {
        u64::from_str_radix(text, 16).map_err(|_| self.error(number, format!("not a class key: `{text}`")))
    }

    fn class(&mut self, number: usize, line: &str) -> Result<(), InputError> {
        let end = line.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(line.len());
        let key = self.key(number, &line[..end])?;
        let fields = fields(&line[end..]).ok_or_else(|| self.error(number, "not a lock class, or cut"))?;
        let class = self.observation.add_class(fields.name);
        if self.keys.insert(key, class).is_some() {
            return Err(self.error(number, format!("class key {key:016x} is defined twice: two dumps mixed")));
        }
        self.observation.set_acquisitions(class, fields.operations);
        let line = u32::try_from(number).unwrap_or(u32::MAX);
        self.observation.set_key(class, key, Site { file: self.file.to_owned(), line, column: 0 });
        self.current = Some(class);
        Ok(())
    }

    fn finish(mut self, last: usize, text: &str) -> Result<Observation, InputError> {
        if self.keys.is_empty() {
            return Err(self.error(last.max(1), "no lock class: the dump is cut"));
        }
        if !text.ends_with('\n') {
            return Err(self.error(last, "the last line has no end: the dump is cut"));
        }
        for (outer, key, name, number) in std::mem::take(&mut self.pending) {
            let Some(&inner) = self.keys.get(&key) else {
                return Err(self.error(
                    number,
                    format!("`{name}` with key {key:016x} is no class of this dump: cut, or mixed with another boot's"),
                ));
            };
            let line = u32::try_from(number).unwrap_or(u32::MAX);
            let at = Some(Site { file: self.file.to_owned(), line, column: 0 });
            self.observation.add_dependency(outer, inner, Witness { at, ..Witness::default() });
        }
        Ok(self.observation)
    }
}

/// What stands behind the key of a class.
struct Fields<'a> {
    operations: Option<u64>,
    name: &'a str,
}

/// Reads ` OPS: 88 FD: 217 BD: 6 +.+.: name`, of which all but the name may be missing.
fn fields(mut text: &str) -> Option<Fields<'_>> {
    let mut operations = None;
    loop {
        text = text.trim_start();
        let Some(label) = ["OPS:", "FD:", "BD:"].into_iter().find(|label| text.starts_with(label)) else { break };
        let number = text[label.len()..].trim_start();
        let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
        let value = Some(number[..end].parse().ok()?);
        if label == "OPS:" {
            operations = value;
        }
        text = &number[end..];
    }
    let usage = text.find(|c: char| !"+-.?".contains(c))?;
    let name = text[usage..].strip_prefix(": ")?;
    (!name.is_empty()).then_some(Fields { operations, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "all lock classes:\n\
        00000000000000a1 OPS:      88 FD:    3 BD:    1 +.+.: &a->lock\n -> [00000000000000b2] b lock\n\n\
        00000000000000b2 FD:    1 BD:    2 ++++: b lock\n -> [00000000000000c3] c: d/1\n\n\
        00000000000000c3: c: d/1\n\n";

    fn reason(text: &str) -> String {
        parse("d", text).unwrap_err().to_string()
    }

    #[test]
    fn classes_and_dependencies_with_any_configuration() {
        let seen = parse("d", DUMP).unwrap();
        let names: Vec<_> = seen.classes().iter().map(|class| class.name.to_string()).collect();
        assert_eq!(names, ["&a->lock", "b lock", "c: d/1"]);
        assert_eq!(seen.classes()[0].acquisitions, Some(88));
        let lines = seen.dependencies().map(|(o, i, w)| (o, i, w.at.as_ref().unwrap().line));
        assert_eq!(lines.collect::<Vec<_>>(), [(0, 1, 3), (1, 2, 6)]);
    }

    #[test]
    fn a_cut_or_mixed_dump_is_refused_with_its_line() {
        assert_eq!(reason("all lock classes:\n"), "d:1: no lock class: the dump is cut");
        assert_eq!(reason(&DUMP[..DUMP.len() - 5]), "d:8: the last line has no end: the dump is cut");
        assert!(reason(&DUMP[..100]).starts_with("d:3: "), "{}", reason(&DUMP[..100]));
        assert_eq!(
            reason(&format!("{DUMP}{DUMP}")),
            "d:10: a second header: two dumps, perhaps of different boots, in one file"
        );
        let other_boot = DUMP.replace("-> [00000000000000b2]", "-> [00000000000000f9]");
        assert_eq!(
            reason(&other_boot),
            "d:3: `b lock` with key 00000000000000f9 is no class of this dump: cut, or mixed with another boot's"
        );
        let twice = DUMP.replace("c3: c", "b2: c");
        assert_eq!(reason(&twice), "d:8: class key 00000000000000b2 is defined twice: two dumps mixed");
    }
}
