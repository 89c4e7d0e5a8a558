//! An audit as JSON.

use crate::Audit;

/// Returns the audit as indented JSON, ending in a line feed.
///
/// # Panics
///
/// Never: an audit has string keys only.
pub fn json(audit: &Audit) -> String {
    let mut text = serde_json::to_string_pretty(audit).expect("an audit has string keys only, so it is JSON");
    text.push('\n');
    text
}
