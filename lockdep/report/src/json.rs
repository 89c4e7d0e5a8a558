//! JSON: the reports as they are, an array of objects with stable names.

use lockdep_core::Report;

/// Returns the reports as a JSON array, indented, with a line feed at the end.
pub fn render(reports: &[Report]) -> String {
    let mut text = serde_json::to_string_pretty(reports).expect("a report has string keys only, so it is JSON");
    text.push('\n');
    text
}
