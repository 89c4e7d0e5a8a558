//! Words in colour, where the output is a terminal: [`anstream`] takes the codes out elsewhere.

use anstyle::{AnsiColor, Style};

const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const TITLE: Style = Style::new().bold();

/// Prints text line by line: headings bold, the report's warning red, the first line by how it went.
pub(crate) fn print(text: &str, is_good: bool) {
    for (number, line) in text.lines().enumerate() {
        let style = match line {
            _ if number == 0 && is_good => GOOD,
            _ if number == 0 => BAD,
            _ if line.starts_with("## ") => TITLE,
            _ if line.starts_with("WARNING") || line.contains("*** DEADLOCK ***") => BAD,
            _ => Style::new(),
        };
        anstream::println!("{style}{line}{style:#}");
    }
}
