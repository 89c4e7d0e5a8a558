//! Puts files that belong together into one observation.
//!
//! Journals are of one program, whose classes have one name everywhere: their union is one observation, and a circle
//! whose dependencies come from different processes shows. Dumps of one boot belong together by their class keys;
//! dumps of different boots do not, since the numbers behind their names differ.

use std::collections::HashMap;

use super::{Observation, Source};
use crate::InputError;

/// Combines observations, indexes their chains, and returns what is left, in the order given.
///
/// # Errors
///
/// If two kernel dumps are of different boots.
pub fn combine(observations: Vec<Observation>) -> Result<Vec<Observation>, InputError> {
    let mut combined: Vec<Observation> = Vec::new();
    for observation in observations {
        let group = group(observation.source());
        let partner = combined.iter_mut().find(|known| group.is_some() && self::group(known.source()) == group);
        match partner {
            Some(partner) => {
                check_boot(partner, &observation)?;
                partner.absorb(&observation);
            }
            None => combined.push(observation),
        }
    }
    for observation in &mut combined {
        if let Some(mut chains) = observation.chains.take() {
            chains.index(|class| observation.inner(class).next().is_some());
            observation.chains = Some(chains);
        }
    }
    Ok(combined)
}

#[derive(PartialEq, Eq)]
enum Together {
    Journals,
    Boot,
}

fn group(source: Source) -> Option<Together> {
    match source {
        Source::Journal => Some(Together::Journals),
        Source::ProcLockdep | Source::ProcLockdepChains => Some(Together::Boot),
        Source::Trace | Source::Perf | Source::Log => None,
    }
}

/// A class has the same key in all dumps of a boot.
fn check_boot(known: &Observation, new: &Observation) -> Result<(), InputError> {
    let keyed = |observation: &'_ Observation| {
        let classes = observation.classes().iter();
        classes.filter_map(|class| Some((class.name.to_string(), class.key.clone()?))).collect::<Vec<_>>()
    };
    let keys: HashMap<_, _> = keyed(known).into_iter().collect();
    for (name, key) in keyed(new) {
        if let Some(other) = keys.get(&name).filter(|other| other.value != key.value) {
            let line = usize::try_from(key.at.line).unwrap_or(usize::MAX);
            let reason = format!("`{name}` has another key in {}: the dumps are of different boots", other.at);
            return Err(InputError::at(&key.at.file, line, reason));
        }
    }
    Ok(())
}

impl Observation {
    /// Adds the classes, dependencies, chains and findings of another observation, by class name.
    fn absorb(&mut self, other: &Self) {
        let numbers: Vec<usize> = other.classes().iter().map(|class| self.add_class(&class.name.to_string())).collect();
        for (class, &number) in other.classes().iter().zip(&numbers) {
            self.update_class(number, class);
        }
        for (outer, inner, witness) in other.dependencies() {
            self.add_dependency(numbers[outer], numbers[inner], witness.clone());
        }
        for mut finding in other.findings.iter().cloned() {
            finding.classes.iter_mut().for_each(|class| *class = numbers[*class]);
            for edge in &mut finding.edges {
                (edge.outer, edge.inner) = (numbers[edge.outer], numbers[edge.inner]);
            }
            self.findings.push(finding);
        }
        if let Some(chains) = &other.chains {
            self.chains = Some(chains.renumbered(&numbers));
        }
        self.notes.extend(other.notes.iter().cloned());
        self.rename(other.name(), other.source());
    }
}
