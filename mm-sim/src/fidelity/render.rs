//! A comparison as text: contradictions first, then how much there is of each other, then the differences, lock by lock.

use std::{collections::BTreeMap, fmt};

use super::{Difference, Fidelity};

impl fmt::Display for Fidelity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.contradictions.len() {
            0 => writeln!(f, "no order contradicts that of {}", self.kernel)?,
            1 => writeln!(f, "1 order CONTRADICTS that of {}", self.kernel)?,
            n => writeln!(f, "{n} orders CONTRADICT those of {}", self.kernel)?,
        }
        list(f, "here one way, in the kernel only the other way around", &self.contradictions)?;
        let percent = |share: f64| share * 100.0;
        writeln!(f)?;
        writeln!(
            f,
            "recall     {:>5.1}%  {} of {} dependencies between {} locks of the dump are reproduced under {}",
            percent(self.recall()),
            self.reproduced,
            self.real,
            self.locks,
            self.protocol
        )?;
        writeln!(
            f,
            "           {:>5.1}%  of the {} between locks that the simulator has too",
            percent(self.recall_of_common()),
            self.real_of_common
        )?;
        writeln!(
            f,
            "precision  {:>5.1}%  {} of {} dependencies of the simulator are in the dump",
            percent(self.precision()),
            self.confirmed,
            self.ours
        )?;
        names(f, "locks of the dump that the simulator lacks", &self.lacking)?;
        names(f, "classes that the table does not have, not compared", &self.unknown)?;
        grouped(f, "missed: only the kernel does this", &self.missed)?;
        grouped(f, "extra: only the simulator does this", &self.extra)
    }
}

/// Differences by the lock that is held.
fn grouped(f: &mut fmt::Formatter<'_>, title: &str, differences: &[Difference]) -> fmt::Result {
    if differences.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n## {title} ({})", differences.len())?;
    let mut groups: BTreeMap<&str, Vec<&Difference>> = BTreeMap::new();
    for difference in differences {
        groups.entry(&difference.outer).or_default().push(difference);
    }
    for (outer, inners) in groups {
        writeln!(f, "\n{outer}")?;
        for Difference { inner, at, why, .. } in inners {
            writeln!(f, "  -> {inner:<34} {at}\n     {why}")?;
        }
    }
    Ok(())
}

fn list(f: &mut fmt::Formatter<'_>, title: &str, differences: &[Difference]) -> fmt::Result {
    if differences.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n## {title} ({})\n", differences.len())?;
    for Difference { outer, inner, at, why } in differences {
        writeln!(f, "{outer} -> {inner}\n    {at}: {why}")?;
    }
    Ok(())
}

/// Names, in lines that fit a terminal.
fn names(f: &mut fmt::Formatter<'_>, title: &str, names: &[String]) -> fmt::Result {
    const WIDTH: usize = 100;
    if names.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n{title}:")?;
    let mut line = String::new();
    for (number, name) in (1..).zip(names) {
        let comma = if number < names.len() { "," } else { "" };
        if !line.is_empty() && line.len() + name.len() + 2 > WIDTH {
            writeln!(f, "{line}")?;
            line.clear();
        }
        line += &format!("{}{name}{comma}", if line.is_empty() { "    " } else { " " });
    }
    writeln!(f, "{line}")
}
