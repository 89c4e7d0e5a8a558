//! A lockdep journal as an observation.

use std::collections::HashMap;

use lockdep_core::{Journal, Site, journal::DependencyRecord};

use super::{Observation, Source, Witness};
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
        if let Some(line) = journal.cut_line {
            let line = u32::try_from(line).unwrap_or(u32::MAX);
            let site = Site { file: name.to_owned(), line, column: 0 };
            self.notes.push(Note { site, text: "the last line was cut and is left out".to_owned() });
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
