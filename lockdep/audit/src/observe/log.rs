//! Lockdep's reports in a kernel log, several per log, with or without timestamps.
//!
//! A report starts with a title and ends where the next one starts. Of a circular dependency the list in reverse order
//! is read (`-> #2 (name)...:` with the stack that acquired it), of the interrupt rules the new dependency and the
//! shortest paths. The known dependencies become dependencies of the observation; the new one, which the report is
//! about, only part of the finding: it is what is judged.

use lockdep_core::{Frame, Site};

use super::{Edge, Finding, Observation, Source, Witness};
use crate::{InputError, document::Note};

/// The titles, by a part that occurs in no other line.
const TITLES: [&str; 24] = [
    "possible circular locking dependency detected",
    "possible recursive locking detected",
    "inconsistent lock state",
    "-unsafe lock order detected",
    "possible irq lock inversion dependency detected",
    "bad unlock balance detected",
    "bad contention detected",
    "held lock freed!",
    "still has locks held!",
    "lock held when returning to user space!",
    "Nested lock was not taken",
    "Invalid wait context",
    "chain_key collision",
    "suspicious RCU usage",
    "trying to register non-static key",
    "has not been registered!",
    "looking up invalid subclass",
    "turning off the locking correctness validator",
    "releasing a pinned lock",
    "pinning an unheld lock",
    "unpinning an unheld lock",
    "unpinning an unpinned lock",
    "downgrading a read lock",
    "Detected use-after-free of lock class",
];

/// Whether a line is the title of a report.
pub(super) fn is_title(line: &str) -> bool {
    TITLES.iter().any(|title| line.contains(title))
}

/// Reads the log.
pub(super) fn parse(file: &str, text: &str) -> Result<Observation, InputError> {
    let lines: Vec<(usize, &str)> = text.lines().enumerate().map(|(index, line)| (index + 1, message(line))).collect();
    let starts: Vec<usize> = (0..lines.len()).filter(|&at| is_title(lines[at].1)).collect();
    if starts.is_empty() {
        return Err(InputError::at(file, lines.len().max(1), "no report of lockdep in this log"));
    }
    let mut observation = Observation::new(file, Source::Log);
    if let Some(line) = clock_goes_back(text) {
        let site = Site { file: file.to_owned(), line: u32::try_from(line).unwrap_or(u32::MAX), column: 0 };
        let text = "the clock goes back: another boot begins here, in which `#2` may be another class";
        observation.notes.push(Note { site, text: text.to_owned() });
    }
    for (at, &start) in starts.iter().enumerate() {
        let end = starts.get(at + 1).copied().unwrap_or(lines.len());
        Splat { file, observation: &mut observation }.read(&lines[start..end])?;
    }
    Ok(observation)
}

/// A line without priority, timestamp, caller and the prefix of a system log.
fn message(line: &str) -> &str {
    let line = line.split_once(" kernel: ").map_or(line, |(_, rest)| rest);
    let mut text = line;
    if let Some(rest) = text.strip_prefix('<') {
        text = rest.split_once('>').map_or(text, |(_, rest)| rest);
    }
    while let Some((tag, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let tag = tag.trim();
        let is_time = tag.contains('.') && tag.chars().all(|c| c.is_ascii_digit() || c == '.');
        let is_caller =
            tag.strip_prefix(['T', 'C']).is_some_and(|id| !id.is_empty() && id.chars().all(|c| c.is_ascii_digit()));
        if !is_time && !is_caller {
            break;
        }
        text = rest.strip_prefix(' ').unwrap_or(rest);
    }
    text
}

/// The first line whose timestamp is far below the one before.
fn clock_goes_back(text: &str) -> Option<usize> {
    let time = |line: &str| line.split_once('[')?.1.split_once(']')?.0.trim().parse::<f64>().ok();
    let mut last = 0.0;
    text.lines().enumerate().find_map(|(index, line)| {
        let time = time(line)?;
        let goes_back = time + 1.0 < last;
        last = time;
        goes_back.then_some(index + 1)
    })
}

/// The name in `ffff888100c4ec70 (&o->m){+.+.}-{4:4}, at: ...`.
fn class_name(text: &str) -> Option<&str> {
    let start = text.find('(')? + 1;
    let end = text.rfind("){")?;
    text.get(start..end).filter(|name| !name.is_empty())
}

/// The name in ` -> (&o->m){+.+.}-{4:4} ops: 2 {`.
fn tree_class(text: &str) -> Option<&str> {
    let rest = text.trim_start().strip_prefix("-> (").filter(|rest| rest.contains(" ops: "))?;
    Some(&rest[..rest.rfind("){")?])
}

/// The function in `  mutex_lock_nested+0x1a/0x20`.
fn function(text: &str) -> Option<&str> {
    let text = text.trim();
    let (name, offset) = text.split_once("+0x")?;
    let is_frame = !name.is_empty() && !name.contains(' ') && offset.contains("/0x");
    is_frame.then_some(name)
}

struct Splat<'a> {
    file: &'a str,
    observation: &'a mut Observation,
}

/// A class on a path, with the stack that acquired it and its line.
struct Link {
    class: usize,
    stack: Vec<String>,
    line: usize,
}

impl Splat<'_> {
    fn site(&self, line: usize) -> Site {
        Site { file: self.file.to_owned(), line: u32::try_from(line).unwrap_or(u32::MAX), column: 0 }
    }

    fn read(&mut self, lines: &[(usize, &str)]) -> Result<(), InputError> {
        let (number, title) = lines[0];
        let title = title.trim_matches(|c: char| "[] ".contains(c));
        let title = ["WARNING: ", "BUG: ", "INFO: "].iter().find_map(|word| title.strip_prefix(word)).unwrap_or(title);
        let mut finding = Finding { title: title.to_owned(), at: Some(self.site(number)), ..Finding::default() };
        finding.thread = lines.iter().take(10).find_map(|(_, line)| thread(line));
        let ring = self.reverse_chain(lines);
        if !ring.is_empty() {
            self.circle(&mut finding, ring);
        } else if title.contains("circular") {
            let last = lines.last().map_or(number, |(last, _)| *last);
            return Err(InputError::at(self.file, last, "a circular dependency without its chain: the log is cut"));
        } else {
            self.new_dependency(&mut finding, lines);
            self.known_path(lines);
        }
        finding.classes = self.subject(lines);
        self.observation.findings.push(finding);
        Ok(())
    }

    /// `-> #2 (b){...}:` down to `-> #0 (a){...}:`, each with its stack.
    fn reverse_chain(&mut self, lines: &[(usize, &str)]) -> Vec<Link> {
        let mut links: Vec<Link> = Vec::new();
        let mut open = false;
        for &(line, text) in lines {
            if let Some(name) = class_name(text).filter(|_| text.starts_with("-> #")) {
                links.push(Link { class: self.observation.add_class(name), stack: Vec::new(), line });
                open = true;
                continue;
            }
            match function(text) {
                Some(function) if open => {
                    links.last_mut().expect("open only with a link").stack.push(function.to_owned())
                }
                _ if text.trim().is_empty() => {}
                _ => open = false,
            }
        }
        links
    }

    /// Turns the chain into dependencies: the wanted lock is last, the held one first.
    fn circle(&mut self, finding: &mut Finding, mut links: Vec<Link>) {
        links.reverse();
        let edge = |splat: &Self, outer: &Link, inner: &Link| Edge {
            outer: outer.class,
            inner: inner.class,
            stack: inner.stack.clone(),
            at: Some(splat.site(inner.line)),
        };
        if let [wanted, .., held] = links.as_slice() {
            finding.edges.push(edge(self, held, wanted));
        }
        for ends in links.windows(2) {
            let edge = edge(self, &ends[0], &ends[1]);
            let stack = edge.stack.iter().map(|function| Frame { function: function.clone(), site: None }).collect();
            let witness = Witness { at: edge.at.clone(), stack, ..Witness::default() };
            self.observation.add_dependency(edge.outer, edge.inner, witness);
            finding.edges.push(edge);
        }
    }

    /// ` (a){-...}-{2:2} -> (b){+.+.}-{2:2}` below `which would create a new lock dependency:`.
    fn new_dependency(&mut self, finding: &mut Finding, lines: &[(usize, &str)]) {
        let heading = lines.iter().position(|(_, text)| text.contains("which would create a new lock dependency"));
        let Some(&(line, text)) = heading.and_then(|at| lines.get(at + 1)) else { return };
        let Some((outer, inner)) = text.split_once("} -> (") else { return };
        let ends = class_name(&format!("{outer}}}"))
            .map(str::to_owned)
            .zip(class_name(&format!("({inner}")).map(str::to_owned));
        if let Some((outer, inner)) = ends {
            let (outer, inner) = (self.observation.add_class(&outer), self.observation.add_class(&inner));
            finding.edges.push(Edge { outer, inner, stack: Vec::new(), at: Some(self.site(line)) });
        }
    }

    /// The trees of the interrupt rules: `-> (a){...} ops: 2 {`, the indentation falling from one to the next. Those
    /// that lead to the lock that is held run outwards in, the others inwards out.
    fn known_path(&mut self, lines: &[(usize, &str)]) {
        let (mut inwards, mut path): (bool, Vec<(usize, usize)>) = (false, Vec::new());
        let mut paths = Vec::new();
        for &(line, text) in lines {
            if text.starts_with("the dependencies between") || text.starts_with("the shortest dependencies between") {
                paths.push((inwards, std::mem::take(&mut path)));
                inwards = text.contains("the holding lock");
            } else if let Some(name) = tree_class(text) {
                path.push((self.observation.add_class(name), line));
            }
        }
        paths.push((inwards, path));
        for (inwards, path) in paths {
            for ends in path.windows(2) {
                let [first, second] = [ends[0], ends[1]];
                let (outer, inner) = if inwards { (first.0, second.0) } else { (second.0, first.0) };
                let at = Some(self.site(second.1));
                self.observation.add_dependency(outer, inner, Witness { at, ..Witness::default() });
            }
        }
    }

    /// The classes on the lines behind `is trying to acquire`, `is already holding`, `takes`, `freed`.
    fn subject(&mut self, lines: &[(usize, &str)]) -> Vec<usize> {
        let end = lines.iter().position(|(_, text)| text.contains("other info") || text.contains("held by"));
        let lines = &lines[..end.unwrap_or(lines.len())];
        let is_lock = |text: &str| text.contains("}, at: ") || text.contains("trying to release lock (");
        let name = |text: &str| match text.split_once("trying to release lock (") {
            Some((_, rest)) => rest.rsplit_once(") at").map(|(name, _)| name.to_owned()),
            None => class_name(text).map(str::to_owned),
        };
        let names: Vec<String> =
            lines.iter().filter(|(_, text)| is_lock(text)).filter_map(|(_, text)| name(text)).collect();
        names.iter().map(|name| self.observation.add_class(name)).collect()
    }
}

/// The task in `mmx/180 is trying to acquire lock:`.
fn thread(line: &str) -> Option<String> {
    let verbs = [" is trying to ", " takes:", " is freeing memory", " is leaving the kernel", " [HC"];
    let at = verbs.iter().filter_map(|verb| line.find(verb)).min()?;
    let task = line[..at].trim();
    (task.contains('/') && !task.contains(' ')).then(|| task.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dress_of_a_line_is_taken_off() {
        for line in [
            "hello",
            "[   10.5] hello",
            "<4>[   10.5] hello",
            "[   10.5] [  T123] hello",
            "[   10.5][   C0] hello",
            "Nov 23 10:00:01 host kernel: [   10.5] hello",
            "Nov 23 10:00:01 host kernel: hello",
        ] {
            assert_eq!(message(line), "hello", "{line}");
        }
        assert_eq!(message("[ BUG: Invalid wait context ]"), "[ BUG: Invalid wait context ]");
    }

    #[test]
    fn names_with_parentheses_are_whole() {
        let line = "ffff888100c4ec70 (&(ei->i_block)){+.+.}-{4:4}, at: f+0x2f/0x50";
        assert_eq!(class_name(line), Some("&(ei->i_block)"));
        assert_eq!(tree_class(" -> (&(ei->i_block)){+.+.}-{4:4} ops: 2 {"), Some("&(ei->i_block)"));
        assert_eq!(function("   mutex_lock+0x1/0x20"), Some("mutex_lock"));
        assert_eq!(function(" ? mutex_lock+0x1/0x20"), None, "a guess of the unwinder");
    }

    #[test]
    fn a_second_boot_in_a_log_is_told() {
        let boot = "[   50.0] WARNING: held lock freed!\n";
        assert_eq!(clock_goes_back(&boot.repeat(2)), None);
        assert_eq!(clock_goes_back(&format!("{boot}{}", boot.replace("50", "3"))), Some(2));
        assert_eq!(parse("f", &format!("{boot}{}", boot.replace("50", "3"))).unwrap().notes.len(), 1);
    }

    #[test]
    fn the_trees_of_the_interrupt_rules_run_both_ways() {
        let text = "WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected\n\
            which would create a new lock dependency:\n (b){....}-{3:3} -> (c){+.+.}-{3:3}\n\
            the dependencies between HARDIRQ-irq-safe lock and the holding lock:\n\
            \x20-> (a){-.-.}-{3:3} ops: 44 {\n }\n-> (b){....}-{3:3} ops: 5 {\n }\n\
            the dependencies between the lock to be acquired\n and HARDIRQ-irq-unsafe lock:\n\
            \x20-> (d){+.+.}-{3:3} ops: 8 {\n }\n-> (c){+.+.}-{3:3} ops: 8 {\n }\n";
        let seen = parse("f", text).unwrap();
        let name = |class: usize| seen.classes()[class].name.to_string();
        let mut known: Vec<_> = seen.dependencies().map(|(o, i, _)| (name(o), name(i))).collect();
        known.sort_unstable();
        assert_eq!(known, [("a".to_owned(), "b".to_owned()), ("c".to_owned(), "d".to_owned())]);
        let new = &seen.findings[0].edges[0];
        assert_eq!((name(new.outer), name(new.inner)), ("b".to_owned(), "c".to_owned()));
    }
}
