//! The journal: what a process learns, one JSON object a line, appended as it happens.
//!
//! The first line is a [`Header`]. Then come classes, dependencies and reports, a class before what mentions it. Nothing
//! is ever rewritten, so a process that is killed leaves a journal of everything it had learnt; at the worst its last
//! line is cut, which [`Journal::parse`] tolerates and says.
//!
//! ```text
//! {"type":"header","version":1,"program":"bank","pid":4711}
//! {"type":"class","id":0,"name":"account","explicit":true,"site":{"file":"src/bank.rs","line":3,"column":30}}
//! {"type":"dependency","outer":0,"inner":256,"hold":"exclusive","wait":"normal","thread":"main"}
//! {"type":"report","code":"circular-dependency",...}
//! ```

use std::{collections::HashSet, fmt};

use serde::{Deserialize, Serialize};

use crate::{class::Site, mode::DependencyKind, report::Report};

/// The version of the format that this crate writes, and the newest that it reads.
pub const VERSION: u32 = 1;

/// The first line of a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The version of the format.
    pub version: u32,
    /// The program that wrote it.
    pub program: String,
    /// Its process id; 0 where the journal comes from no process.
    #[serde(default)]
    pub pid: u32,
}

/// A class, as far as a journal needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassRecord {
    /// The number that the other records of this journal use ([`ClassId::as_u32`](crate::ClassId::as_u32)).
    pub id: u32,
    /// The name as reports show it, with `#n` and `/n`.
    pub name: String,
    /// Whether the class was declared, rather than made of a construction site.
    pub explicit: bool,
    /// Where it was declared, or where its locks are constructed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<Site>,
}

/// A dependency `outer -> inner`, as it was first seen in this kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DependencyRecord {
    /// The class of the lock that was held.
    pub outer: u32,
    /// The class of the lock that was acquired.
    pub inner: u32,
    /// How the one was held and the other waited for.
    #[serde(flatten)]
    pub kind: DependencyKind,
    /// The name of the thread that did it.
    pub thread: String,
    /// Where the outer lock had been acquired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outer_site: Option<Site>,
    /// Where the inner lock was acquired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inner_site: Option<Site>,
    /// The tracing spans that thread was in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<String>,
}

/// A line of a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Record {
    /// The first line.
    Header(Header),
    /// A new class.
    Class(ClassRecord),
    /// A new dependency, or a known one in a new kind.
    Dependency(DependencyRecord),
    /// A finding.
    Report(Box<Report>),
}

impl Record {
    /// Returns the line, with its line feed.
    pub fn to_line(&self) -> String {
        let mut line = serde_json::to_string(self).expect("a record has string keys only, so it is JSON");
        line.push('\n');
        line
    }
}

/// A whole journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    /// The header.
    pub header: Header,
    /// The classes, in the order they were met.
    pub classes: Vec<ClassRecord>,
    /// The dependencies, in the order they were learnt.
    pub dependencies: Vec<DependencyRecord>,
    /// The findings, in the order they were made.
    pub reports: Vec<Report>,
    /// The number of the last line if it was cut and therefore dropped.
    pub cut_line: Option<usize>,
}

impl Journal {
    /// An empty journal of `program`.
    pub fn new(program: &str) -> Self {
        let header = Header { version: VERSION, program: program.to_owned(), pid: 0 };
        Self { header, classes: Vec::new(), dependencies: Vec::new(), reports: Vec::new(), cut_line: None }
    }

    /// Reads a journal. `file` is the name that errors give it.
    ///
    /// # Errors
    ///
    /// If a line is not a record, the version is unknown, or a dependency mentions a class that no earlier line
    /// defines. A last line without line feed that is no record has been cut; it is dropped, which
    /// [`cut_line`](Self::cut_line) tells.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, JournalError> {
        let error = |line, reason: String| JournalError { file: file.to_owned(), line, reason };
        let is_blank = |raw: &[u8]| raw.iter().all(u8::is_ascii_whitespace);
        let lines = bytes.split_inclusive(|&byte| byte == b'\n').enumerate();
        let mut lines = lines.filter(|(_, raw)| !is_blank(raw)).map(|(index, raw)| (index + 1, raw));

        let Some((first, raw)) = lines.next() else { return Err(error(1, "empty: not a lockdep journal".to_owned())) };
        let Ok(Record::Header(header)) = serde_json::from_slice(raw) else {
            return Err(error(first, "not a lockdep journal: the first line is no header".to_owned()));
        };
        if header.version > VERSION {
            return Err(error(first, format!("of version {}, but known is only {VERSION}", header.version)));
        }

        let mut journal = Self { header, ..Self::new("") };
        let mut defined = HashSet::new();
        for (line, raw) in lines {
            match serde_json::from_slice(raw) {
                Ok(record) => journal.push(record, &mut defined).map_err(|reason| error(line, reason))?,
                Err(_) if !raw.ends_with(b"\n") => journal.cut_line = Some(line),
                Err(err) => return Err(error(line, format!("not a journal record: {}", complaint(&err)))),
            }
        }
        Ok(journal)
    }

    fn push(&mut self, record: Record, defined: &mut HashSet<u32>) -> Result<(), String> {
        match record {
            Record::Header(_) => return Err("a second header: two journals in one file".to_owned()),
            Record::Class(class) => {
                defined.insert(class.id);
                self.classes.push(class);
            }
            Record::Dependency(dependency) => {
                let ends = [dependency.outer, dependency.inner];
                if let Some(class) = ends.iter().find(|class| !defined.contains(class)) {
                    return Err(format!("class {class} is mentioned before it is defined"));
                }
                self.dependencies.push(dependency);
            }
            Record::Report(report) => self.reports.push(*report),
        }
        Ok(())
    }

    /// Returns the journal as text, the inverse of [`parse`](Self::parse).
    pub fn to_text(&self) -> String {
        let header = std::iter::once(Record::Header(self.header.clone()));
        let classes = self.classes.iter().cloned().map(Record::Class);
        let dependencies = self.dependencies.iter().cloned().map(Record::Dependency);
        let reports = self.reports.iter().cloned().map(Box::new).map(Record::Report);
        header.chain(classes).chain(dependencies).chain(reports).map(|record| record.to_line()).collect()
    }

    /// Returns the name of a class of this journal.
    pub fn class_name(&self, id: u32) -> Option<&str> {
        self.classes.iter().find(|class| class.id == id).map(|class| class.name.as_str())
    }
}

/// A line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalError {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.reason)
    }
}

impl std::error::Error for JournalError {}

/// The parser's complaint without its own line and column, which count within one line of the file.
pub(crate) fn complaint(err: &serde_json::Error) -> String {
    let text = err.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(reason, _)| reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mode::{HoldKind, WaitKind};

    fn sample() -> Journal {
        let class = |id, name: &str| ClassRecord { id, name: name.to_owned(), explicit: true, site: None };
        let mut journal = Journal::new("test");
        journal.classes = vec![class(0, "a"), class(256, "b")];
        journal.dependencies = vec![DependencyRecord {
            outer: 0,
            inner: 256,
            kind: DependencyKind { hold: HoldKind::Exclusive, wait: WaitKind::Recursive },
            thread: "main".to_owned(),
            outer_site: Some(Site { file: "a.rs".to_owned(), line: 3, column: 9 }),
            inner_site: None,
            span: None,
        }];
        journal
    }

    fn reason(bytes: &[u8]) -> String {
        Journal::parse("j", bytes).unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_is_read() {
        let journal = sample();
        assert_eq!(Journal::parse("j", journal.to_text().as_bytes()), Ok(journal));
    }

    #[test]
    fn a_journal_cut_anywhere_loses_only_its_last_line() {
        let text = sample().to_text();
        let header = text.find('\n').unwrap() + 1;
        for cut in header..text.len() {
            let journal = Journal::parse("j", &text.as_bytes()[..cut]).unwrap();
            let whole_lines = text[..cut].matches('\n').count();
            // A line that lacks nothing but its line feed is whole.
            let kept = 1 + journal.classes.len() + journal.dependencies.len();
            assert!(kept == whole_lines || (kept == whole_lines + 1 && journal.cut_line.is_none()), "cut at {cut}");
            assert_eq!(journal.cut_line.is_some(), kept == whole_lines && !text[..cut].ends_with('\n'));
        }
    }

    #[test]
    fn bad_lines_are_named() {
        let text = sample().to_text();
        assert_eq!(reason(b""), "j:1: empty: not a lockdep journal");
        assert_eq!(reason(b"\x7fELF\x02\n"), "j:1: not a lockdep journal: the first line is no header");
        assert_eq!(
            reason(text.replace("\"version\":1", "\"version\":99").as_bytes()),
            "j:1: of version 99, but known is only 1"
        );
        assert_eq!(
            reason(text.replace("\"id\":256", "\"id\":7").as_bytes()),
            "j:4: class 256 is mentioned before it is defined"
        );
        assert_eq!(reason(format!("{text}{text}").as_bytes()), "j:5: a second header: two journals in one file");
        assert!(reason(text.replace("\"id\":0", "\"id\":x").as_bytes()).starts_with("j:2: not a journal record: "));
    }
}
