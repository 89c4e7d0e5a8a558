//! Protocols and the cost of checking, measured on page faults: as a table and as a chart.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// One measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The protocol's name.
    pub protocol: String,
    /// Threads.
    pub threads: u32,
    /// Whether lockdep was on.
    pub checked: bool,
    /// Page faults a second.
    pub faults_per_second: f64,
    /// Processor time a page fault, in microseconds, if it is known.
    pub cpu_us_per_fault: Option<f64>,
    /// The share of them that ran under the VMA lock.
    pub vma_lock_hits: f64,
    /// Waits for a lock, per thousand page faults.
    pub waits_per_thousand: f64,
}

/// All measurements.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison(pub Vec<Measured>);

/// A chart's size and margins, in pixels.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 70.0;
const BOTTOM: f64 = 50.0;
const TOP: f64 = 40.0;
/// Colours of the protocols, in their order.
const COLOURS: [&str; 3] = ["#b5482a", "#3a7ca5", "#2f9e62"];

impl Comparison {
    /// Returns the median measurement of several of the same thing.
    ///
    /// # Panics
    ///
    /// Without a measurement.
    pub fn median(mut measured: Vec<Measured>) -> Measured {
        measured.sort_by(|a, b| a.faults_per_second.total_cmp(&b.faults_per_second));
        measured.swap_remove(measured.len() / 2)
    }

    /// Returns what checking costs: time a fault with it by time a fault without, of the same protocol and threads.
    /// Processor time if that is known, because others may use the machine too.
    pub fn cost(&self, measured: &Measured) -> Option<f64> {
        let same = |other: &&Measured| {
            (&other.protocol, other.threads) == (&measured.protocol, measured.threads) && other.checked
        };
        let on = self.0.iter().find(same)?;
        let by_cpu = on.cpu_us_per_fault.zip(measured.cpu_us_per_fault).map(|(on, off)| on / off);
        (!measured.checked).then(|| by_cpu.unwrap_or(measured.faults_per_second / on.faults_per_second))
    }

    /// What was measured, as a page of Markdown: what comes out, the table, and the chart that is beside it.
    pub fn report(&self, chart: &str) -> String {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        let mut text = format!(
            "# Page faults, measured\n\n\
             Threads of one process fault in memory of their own and a file, and map anew after every 256 faults. Written by\n\
             `mm-sim measure` in one run, on {processors} processors: more threads than that take turns. Every line is the median of\n\
             runs that took turns; what counts are the ratios. The cost of checking is one of processor time.\n\n"
        );
        for line in self.summary() {
            let _ = writeln!(text, "- {line}");
        }
        let _ = write!(text, "\n{}\n![Page faults a second]({chart})\n", self.table());
        text
    }

    /// The ratios, in words.
    fn summary(&self) -> Vec<String> {
        let waits = |one: &&Measured| {
            format!("{:.0} under {} with {}", one.waits_per_thousand, one.protocol, threads_in_words(one.threads))
        };
        let checked: Vec<&Measured> = self.0.iter().filter(|one| one.checked).collect();
        let Some(first) = checked.first() else { return Vec::new() };
        let mut lines = Vec::new();
        for other in checked.iter().filter(|one| one.threads == first.threads && one.protocol != first.protocol) {
            let of = |protocol: &str, threads: u32| {
                let is_it = |one: &&&Measured| one.protocol == protocol && one.threads == threads;
                checked.iter().find(is_it).map(|one| one.faults_per_second)
            };
            let ratios = checked.iter().filter(|one| one.protocol == first.protocol).filter_map(|one| {
                let ratio = of(&other.protocol, one.threads)? / one.faults_per_second;
                Some(format!("{ratio:.2} with {}", threads_in_words(one.threads)))
            });
            let ratios: Vec<_> = ratios.collect();
            lines.push(format!(
                "Page faults a second under {} by those under {}, checked: {}.",
                other.protocol,
                first.protocol,
                ratios.join(", ")
            ));
        }
        let most_threads = checked.iter().map(|one| one.threads).max();
        let crowded: Vec<_> = checked.iter().filter(|one| Some(one.threads) == most_threads).map(waits).collect();
        lines.push(format!("Waits for a lock per 1,000 page faults: {}.", crowded.join(", ")));
        let costs: Vec<f64> = self.0.iter().filter_map(|one| self.cost(one)).collect();
        if let (Some(least), Some(most)) =
            (costs.iter().copied().reduce(f64::min), costs.iter().copied().reduce(f64::max))
        {
            lines.push(format!("Checking costs {least:.2} to {most:.2} times the time of a page fault without it."));
        }
        lines
    }

    /// The table, as Markdown.
    pub fn table(&self) -> String {
        let mut text = String::from(
            "| protocol | threads | lockdep | page faults a second | CPU us a fault | under the VMA lock | waits per 1,000 faults | cost of checking |\n\
             |---|---:|---|---:|---:|---:|---:|---:|\n",
        );
        for one in &self.0 {
            let checked = if one.checked { "on" } else { "off" };
            let unchecked = self
                .0
                .iter()
                .find(|other| (&other.protocol, other.threads, other.checked) == (&one.protocol, one.threads, false));
            let cost = unchecked.filter(|_| one.checked).and_then(|other| self.cost(other));
            let cost = cost.map_or_else(String::new, |cost| format!("{cost:.2}x"));
            let cpu = one.cpu_us_per_fault.map_or_else(String::new, |cpu| format!("{cpu:.2}"));
            let _ = writeln!(
                text,
                "| {} | {} | {checked} | {:.0} | {cpu} | {:.1}% | {:.1} | {cost} |",
                one.protocol,
                one.threads,
                one.faults_per_second,
                one.vma_lock_hits * 100.0,
                one.waits_per_thousand,
            );
        }
        text
    }

    /// The chart, as SVG: page faults a second by threads, checking on.
    pub fn chart(&self) -> String {
        let shown: Vec<&Measured> = self.0.iter().filter(|one| one.checked).collect();
        let mut protocols: Vec<&str> = Vec::new();
        let mut threads: Vec<u32> = Vec::new();
        for one in &shown {
            if !protocols.contains(&one.protocol.as_str()) {
                protocols.push(&one.protocol);
            }
            if !threads.contains(&one.threads) {
                threads.push(one.threads);
            }
        }
        let top = shown.iter().map(|one| one.faults_per_second).fold(1.0, f64::max);
        let height = |value: f64| value / top * (HEIGHT - TOP - BOTTOM);
        let group = (WIDTH - LEFT) / threads.len().max(1) as f64;
        let bar = group * 0.8 / protocols.len().max(1) as f64;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <text x=\"{LEFT}\" y=\"20\" font-size=\"14\">Page faults a second, by threads of one process (lockdep on)</text>\n"
        );
        for quarter in 0..=4 {
            let value = top * f64::from(quarter) / 4.0;
            let y = HEIGHT - BOTTOM - height(value);
            let _ = writeln!(
                svg,
                "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{WIDTH}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{value:.0}</text>",
                LEFT - 6.0,
                y + 4.0
            );
        }
        for one in &shown {
            let at = |all: Option<usize>| all.unwrap_or(0);
            let number = at(protocols.iter().position(|name| *name == one.protocol));
            let x = LEFT
                + group * (at(threads.iter().position(|count| *count == one.threads)) as f64 + 0.1)
                + bar * number as f64;
            let tall = height(one.faults_per_second);
            let _ = writeln!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{tall:.1}\" fill=\"{}\"><title>{}: {:.0}</title></rect>",
                HEIGHT - BOTTOM - tall,
                bar - 2.0,
                COLOURS[number % COLOURS.len()],
                one.protocol,
                one.faults_per_second,
            );
        }
        for (number, count) in threads.iter().enumerate() {
            let x = LEFT + group * (number as f64 + 0.5);
            let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{count}</text>", HEIGHT - 32.0);
        }
        for (number, name) in protocols.iter().enumerate() {
            let x = LEFT + 90.0 * number as f64;
            let _ = writeln!(
                svg,
                "<rect x=\"{x}\" y=\"{}\" width=\"12\" height=\"12\" fill=\"{}\"/><text x=\"{}\" y=\"{}\">{name}</text>",
                HEIGHT - 20.0,
                COLOURS[number % COLOURS.len()],
                x + 18.0,
                HEIGHT - 10.0,
            );
        }
        svg + "</svg>\n"
    }
}

fn threads_in_words(threads: u32) -> String {
    if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(protocol: &str, threads: u32, checked: bool, faults_per_second: f64) -> Measured {
        let (vma_lock_hits, waits_per_thousand) = (0.5, 2.0);
        Measured {
            protocol: protocol.to_owned(),
            threads,
            checked,
            faults_per_second,
            cpu_us_per_fault: None,
            vma_lock_hits,
            waits_per_thousand,
        }
    }

    #[test]
    fn the_cost_is_of_the_same_protocol_and_threads() {
        let comparison = Comparison(vec![
            measured("6.1", 1, true, 1000.0),
            measured("6.1", 1, false, 1250.0),
            measured("6.1", 2, true, 500.0),
        ]);
        let table = comparison.table();
        assert!(table.contains("| 6.1 | 1 | on | 1000 |  | 50.0% | 2.0 | 1.25x |"), "{table}");
        assert!(table.contains("| 6.1 | 2 | on | 500 |  | 50.0% | 2.0 |  |"), "{table}");
        let chart = comparison.chart();
        assert_eq!(chart.matches("<title>").count(), 2, "what was not checked is in the table only");
    }

    #[test]
    fn the_report_begins_with_the_ratios() {
        let comparison = Comparison(vec![
            measured("6.1", 1, true, 1000.0),
            measured("6.12", 1, true, 900.0),
            measured("6.1", 4, true, 500.0),
            measured("6.12", 4, true, 1500.0),
            measured("6.1", 4, false, 600.0),
        ]);
        let report = comparison.report("chart.svg");
        assert!(
            report.contains("under 6.12 by those under 6.1, checked: 0.90 with 1 thread, 3.00 with 4 threads."),
            "{report}"
        );
        assert!(report.contains("Checking costs 1.20 to 1.20 times"), "{report}");
        assert!(report.contains("](chart.svg)"), "{report}");
    }

    #[test]
    fn the_median_is_no_outlier() {
        let all = [3.0, 900.0, 5.0].map(|faults| measured("6.1", 1, true, faults));
        assert_eq!(Comparison::median(all.to_vec()).faults_per_second, 5.0);
    }
}
