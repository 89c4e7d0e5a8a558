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

/// Columns of the terminal that output is made for.
pub(crate) const WIDTH: usize = 100;

/// Breaks text between words, into lines of up to `width` columns.
pub(crate) fn lines(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => *line += &format!(" {word}"),
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Returns a heading with text beside it, the text's lines under each other.
pub(crate) fn beside(heading: &str, text: &str) -> String {
    let indent = heading.chars().count();
    let lines = lines(text, WIDTH - indent);
    let padded = |(at, line): (usize, &String)| match at {
        0 => format!("{heading}{line}\n"),
        _ => format!("{:indent$}{line}\n", ""),
    };
    lines.iter().enumerate().map(padded).collect()
}
