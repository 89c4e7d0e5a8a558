//! The table of paths as text.

use std::fmt;

use super::{Row, Table, Verdict};

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (covered, excepted) = self.counts();
        let missing = self.rows.len() - covered - excepted;
        writeln!(f, "{covered} of {} paths covered, {excepted} excepted, {missing} missing", self.rows.len())?;
        for (title, is) in [
            ("missing", (|verdict| matches!(verdict, Verdict::Missing { .. })) as fn(&Verdict) -> bool),
            ("excepted", |verdict| matches!(verdict, Verdict::Excepted { .. })),
            ("covered", |verdict| *verdict == Verdict::Covered),
        ] {
            let rows: Vec<_> = self.rows.iter().filter(|row| is(&row.verdict)).collect();
            if !rows.is_empty() {
                writeln!(f, "\n## {title}")?;
                rows.into_iter().try_for_each(|row| write_row(f, row))?;
            }
        }
        if !self.stale.is_empty() {
            writeln!(f, "\n## stale lines of data/paths-places.txt")?;
            self.stale.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        }
        Ok(())
    }
}

fn write_row(f: &mut fmt::Formatter<'_>, row: &Row) -> fmt::Result {
    let protocol = row.protocol.as_deref().unwrap_or("none");
    write!(f, "{:<26} {:<10} {:<24}", row.path, protocol, row.kernel)?;
    match &row.verdict {
        Verdict::Covered => write!(f, " {} steps", row.steps)?,
        Verdict::Missing { step, followed } => write!(f, " {followed} of {} steps, then not {step}", row.steps)?,
        Verdict::Excepted { why } => write!(f, " {why}")?,
    }
    if row.without.is_empty() { writeln!(f) } else { writeln!(f, " (without {})", row.without.join(", ")) }
}
