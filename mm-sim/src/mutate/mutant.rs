//! One deliberate bug, and its name.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::workload::Workload;
use crate::sync::{Look, Place, Twist};

/// A deliberate bug.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mutant {
    /// Of an acquisition.
    Lock {
        /// The class, the file and the function; which one, if the function has several. Stable while lines move.
        name: String,
        /// Where it is.
        place: Place,
        /// What is wrong.
        twist: Twist,
    },
    /// Of a look.
    Look(Look),
}

impl Mutant {
    /// Returns the part of the simulator that it is in: a directory of operations, or a file.
    pub fn area(&self) -> String {
        let Self::Lock { place, .. } = self else { return "looks".to_owned() };
        let path = in_crate(place.file).trim_end_matches(".rs");
        path.split('/').take(2).collect::<Vec<_>>().join("/")
    }
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lock { name, twist, .. } => {
                let twist = match twist {
                    Twist::Skip => "skip",
                    Twist::Swap => "swap",
                    Twist::Wait => "wait",
                };
                write!(f, "{twist} {name}")
            }
            Self::Look(look) => write!(f, "forget {}", look.as_str()),
        }
    }
}

/// Lists the mutants of a workload: of an acquisition that waits, that it is left out, or taken after the one that comes
/// next if one does; of one that tries, that it is left out, or waits.
pub(super) fn all(workload: &Workload) -> Vec<Mutant> {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut mutants: Vec<Mutant> = Look::ALL.into_iter().map(Mutant::Look).collect();
    // Other subsystems are modelled by their locks alone, with nothing that these protect.
    let is_ours =
        |place: &Place| !["catalogue/", "op/neighbours/"].iter().any(|other| in_crate(place.file).starts_with(other));
    for (&place, note) in workload.notes.iter().filter(|(place, _)| is_ours(place)) {
        let mut name = format!("{} in {} {}", note.class, in_crate(place.file), note.function);
        let number = seen.entry(name.clone()).or_default();
        *number += 1;
        if *number > 1 {
            name += &format!(" #{number}");
        }
        let second = match (note.tries, note.has_next) {
            (true, _) => Some(Twist::Wait),
            (false, true) => Some(Twist::Swap),
            (false, false) => None,
        };
        let twists = [Some(Twist::Skip), second].into_iter().flatten();
        mutants.extend(twists.map(|twist| Mutant::Lock { name: name.clone(), place, twist }));
    }
    mutants
}

fn in_crate(file: &str) -> &str {
    file.rsplit_once("mm-sim/src/").map_or(file, |(_, file)| file)
}
