//! Lock statistics as a table, one line a class and way of holding it; below each, where it was waited for.

use std::fmt::{self, Write};

use lockdep_core::stats::{ClassStats, Times};

const HEADER: [&str; 11] = [
    "class",
    "contended",
    "wait min",
    "wait max",
    "wait total",
    "wait avg",
    "acquired",
    "hold min",
    "hold max",
    "hold total",
    "hold avg",
];

/// Returns the table, every line ended by a line feed. Times are in microseconds.
pub fn render(stats: &[ClassStats]) -> String {
    let mut rows = vec![HEADER.map(str::to_owned)];
    rows.extend(stats.iter().map(row));
    let widths: Vec<usize> =
        (0..HEADER.len()).map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0)).collect();
    let mut out = String::new();
    for (index, row) in rows.iter().enumerate() {
        line(&mut out, row, &widths).expect("a string takes everything");
        if let Some(stats) = index.checked_sub(1).and_then(|index| stats.get(index)) {
            sites(&mut out, stats).expect("a string takes everything");
        }
    }
    out
}

fn row(stats: &ClassStats) -> [String; 11] {
    let class = if stats.readers { format!("{} (readers)", stats.class) } else { stats.class.clone() };
    let [wait_min, wait_max, wait_total, wait_avg] = times(&stats.wait);
    let [hold_min, hold_max, hold_total, hold_avg] = times(&stats.hold);
    let (contended, acquired) = (stats.wait.count.to_string(), stats.acquisitions.to_string());
    [class, contended, wait_min, wait_max, wait_total, wait_avg, acquired, hold_min, hold_max, hold_total, hold_avg]
}

fn times(times: &Times) -> [String; 4] {
    [times.ns_min, times.ns_max, times.ns_total, times.ns_avg()].map(micros)
}

fn micros(ns: u64) -> String {
    format!("{}.{:02}", ns / 1000, ns % 1000 / 10)
}

fn line(out: &mut String, row: &[String], widths: &[usize]) -> fmt::Result {
    let mut text = format!("{:1$}", row[0], widths[0]);
    for (cell, width) in row.iter().zip(widths).skip(1) {
        write!(text, "  {cell:>width$}")?;
    }
    writeln!(out, "{}", text.trim_end())
}

fn sites(out: &mut String, stats: &ClassStats) -> fmt::Result {
    for (what, sites) in [("waited for at", &stats.waiters), ("held from", &stats.holders)] {
        for (site, count) in sites {
            writeln!(out, "    {count:>8} {what} {site}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use lockdep_core::Site;

    use super::*;

    #[test]
    fn a_line_for_each_class_and_its_sites() {
        let site = Site { file: "src/bank.rs".to_owned(), line: 3, column: 0 };
        let mut wait = Times::default();
        wait.add(1_500);
        wait.add(2_500);
        let stats = ClassStats {
            class: "ledger".to_owned(),
            readers: true,
            wait,
            hold: Times { count: 7, ns_min: 10, ns_max: 1_000_000, ns_total: 2_100_000 },
            acquisitions: 7,
            waiters: vec![(site, 2)],
            holders: Vec::new(),
        };
        let text = render(&[stats]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        let words: Vec<&str> = lines[1].split_whitespace().collect();
        assert_eq!(
            words,
            ["ledger", "(readers)", "2", "1.50", "2.50", "4.00", "2.00", "7", "0.01", "1000.00", "2100.00", "300.00"]
        );
        assert_eq!(lines[2].trim(), "2 waited for at src/bank.rs:3");
    }
}
