//! What was measured, as Markdown.

use std::fmt;

/// A table and what must be said about it.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// The heading.
    pub title: String,
    /// What was measured, in words.
    pub text: String,
    /// The first row names the columns.
    pub rows: Vec<Vec<String>>,
    /// A file beside the report that shows the table.
    pub chart: Option<&'static str>,
}

impl Section {
    /// A section without rows.
    pub fn new(title: impl Into<String>, text: impl Into<String>) -> Self {
        Self { title: title.into(), text: text.into(), ..Self::default() }
    }

    /// Adds a row.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## {}\n\n{}", self.title, self.text)?;
        if let Some(chart) = self.chart {
            writeln!(f, "\n![{}]({chart})", self.title)?;
        }
        let Some((head, rows)) = self.rows.split_first() else { return Ok(()) };
        writeln!(f, "\n| {} |", head.join(" | "))?;
        writeln!(f, "|---{}|", "|---:".repeat(head.len() - 1))?;
        rows.iter().try_for_each(|row| writeln!(f, "| {} |", row.join(" | ")))
    }
}

/// Returns nanoseconds or another figure with three significant digits, or as many as it has before the point.
pub fn figure(value: f64) -> String {
    match value.abs() {
        _ if value.is_nan() => "?".to_owned(),
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_markdown() {
        let mut section = Section::new("Title", "Words.");
        section.row(["lock", "ns"]);
        section.row(["a".to_owned(), figure(12.345)]);
        assert_eq!(section.to_string(), "## Title\n\nWords.\n\n| lock | ns |\n|---|---:|\n| a | 12.3 |\n");
    }

    #[test]
    fn figures_have_the_digits_that_mean_something() {
        assert_eq!([0.004, 9.994, 99.94, 2906.4, f64::NAN].map(figure), ["0.00", "9.99", "99.9", "2906", "?"]);
    }
}
