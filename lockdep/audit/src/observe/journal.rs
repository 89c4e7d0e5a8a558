//! A lockdep journal as an observation.

use std::collections::HashMap;

use lockdep_core::{Acquisition, Dependency, Journal, Report, Site, journal::DependencyRecord};

use super::{Edge, Finding, Observation, Source, Witness};
use crate::document::Note;

impl Observation {
    /// The observation that a journal holds. `name` is the file's name.
    ///
    /// Classes of one name are one class, so that the journals of many processes may be given one after the other
    /// to [`add_journal`](Self::add_journal).
    pub fn from_journal(name: &str, journal: &Journal) -> Self {
        let mut observation = Self::new(name, Source::Journal);
        observation.add_journal(name, journal);
        observation
    }

    /// Adds what another process of the same program has learnt.
    pub fn add_journal(&mut self, name: &str, journal: &Journal) {
        let ids: HashMap<u32, usize> =
            journal.classes.iter().map(|class| (class.id, self.add_class(&class.name))).collect();
        for dependency in &journal.dependencies {
            if let (Some(&outer), Some(&inner)) = (ids.get(&dependency.outer), ids.get(&dependency.inner)) {
                self.add_dependency(outer, inner, witness(dependency));
            }
        }
        for report in &journal.reports {
            self.add_report(report);
        }
        if let Some(line) = journal.cut_line {
            let line = u32::try_from(line).unwrap_or(u32::MAX);
            let site = Site { file: name.to_owned(), line, column: 0 };
            self.notes.push(Note { site, text: "the last line was cut and is left out".to_owned() });
        }
    }

    /// Adds what a validator has reported.
    pub(super) fn add_report(&mut self, report: &Report) {
        let finding = self.finding(report);
        self.findings.push(finding);
    }

    fn finding(&mut self, report: &Report) -> Finding {
        let mut edge = |dependency: &Dependency| {
            let function = |frame: &lockdep_core::Frame| frame.function.clone();
            Edge {
                outer: self.add_class(&dependency.outer.class),
                inner: self.add_class(&dependency.inner.class),
                stack: dependency.inner.stack.iter().map(function).collect(),
                at: dependency.inner.site.clone(),
            }
        };
        let edges = report.cycle.iter().map(&mut edge).collect();
        let mut class = |acquisition: &Acquisition| self.add_class(&acquisition.class);
        let classes = std::iter::once(&report.wanted).chain(&report.conflict).map(&mut class).collect();
        Finding {
            title: report.code.to_string(),
            at: report.wanted.site.clone(),
            thread: Some(report.thread.clone()),
            edges,
            classes,
            is_doubtful: false,
        }
    }
}

fn witness(dependency: &DependencyRecord) -> Witness {
    Witness {
        at: None,
        kinds: vec![dependency.kind],
        thread: Some(dependency.thread.clone()),
        outer_site: dependency.outer_site.clone(),
        inner_site: dependency.inner_site.clone(),
        stack: Vec::new(),
        count: None,
    }
}
