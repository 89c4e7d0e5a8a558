//! The table of paths as text: the verdict first, then what is missing and why, then everything else.

use std::{collections::BTreeMap, fmt};

use super::{Line, Nearest, Row, Seen, Table, Verdict};

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let covered = self.count(|verdict| matches!(verdict, Verdict::Covered { .. }));
        let missing = self.count(|verdict| matches!(verdict, Verdict::Missing { .. }));
        let excepted = self.rows.len() - covered - missing;
        writeln!(f, "{covered} of {} paths covered, {excepted} excepted, {missing} missing", self.rows.len())?;
        writeln!(f, "A row is a documented path under a protocol that stands for its kernels.")?;
        if missing > 0 {
            writeln!(f, "\n## missing")?;
            self.rows.iter().try_for_each(|row| write_missing(f, row))?;
        }
        if !self.stale.is_empty() {
            writeln!(f, "\n## stale lines of paths-places.txt")?;
            self.stale.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        }
        if excepted > 0 {
            writeln!(f, "\n## excepted")?;
            write_excepted(f, &self.rows)?;
        }
        if covered > 0 {
            writeln!(f, "\n## covered")?;
            self.rows.iter().try_for_each(|row| write_covered(f, row))?;
        }
        Ok(())
    }
}

/// Writes the step that is missing, and what the operation that came nearest did instead: `=` is a step of the path.
fn write_missing(f: &mut fmt::Formatter<'_>, row: &Row) -> fmt::Result {
    let Verdict::Missing { step, followed, nearest } = &row.verdict else { return Ok(()) };
    let protocol = row.protocol.as_deref().unwrap_or("no protocol");
    writeln!(f, "{} @ {} under {protocol}: {followed} of {} steps, then not {step}", row.path, row.kernel, row.steps)?;
    let Some(Nearest { seen, trace }) = nearest else {
        return writeln!(f, "    no run enters an operation that takes it");
    };
    writeln!(f, "    nearest: {}", place(seen))?;
    for Line { text, of, follows, left_out } in trace {
        if *left_out > 0 {
            writeln!(f, "        ... {left_out} more")?;
        }
        let mark = if *follows { '=' } else { ' ' };
        writeln!(f, "{}", format!("      {mark} {text:<36} {of}").trim_end())?;
    }
    Ok(())
}

/// Writes the exceptions, those of one path and reason together.
fn write_excepted(f: &mut fmt::Formatter<'_>, rows: &[Row]) -> fmt::Result {
    let mut reasons: BTreeMap<(&str, &str, &str), Vec<&str>> = BTreeMap::new();
    for row in rows {
        if let Verdict::Excepted { why } = &row.verdict {
            let protocol = row.protocol.as_deref().unwrap_or("no protocol");
            reasons.entry((&row.path, &row.kernel, why)).or_default().push(protocol);
        }
    }
    reasons.iter().try_for_each(|((path, kernel, why), protocols)| {
        writeln!(f, "{path} @ {kernel} under {}\n    {why}", protocols.join(", "))
    })
}

fn write_covered(f: &mut fmt::Formatter<'_>, row: &Row) -> fmt::Result {
    let Verdict::Covered { seen } = &row.verdict else { return Ok(()) };
    let protocol = row.protocol.as_deref().unwrap_or_default();
    let without = if row.without.is_empty() { String::new() } else { format!(", without {}", row.without.join(", ")) };
    writeln!(f, "{:<26} {protocol:<8} {:>2} steps: {}{without}", row.path, row.steps, place(seen))
}

fn place(Seen { scenario, seed, schedule, operation }: &Seen) -> String {
    match schedule {
        Some(schedule) => format!("{operation} in {scenario}, schedule {schedule}"),
        None => format!("{operation} in {scenario}, seed {seed}"),
    }
}
