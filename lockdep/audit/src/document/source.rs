//! Finds the lock-ordering comment in a text and strips the comment's dress.

use crate::InputError;

/// The comment's lines, without `*` prefix, each with its number.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block<'a> {
    /// The number of the heading's line.
    pub(super) line: usize,
    /// The lines behind the heading.
    pub(super) lines: Vec<(usize, &'a str)>,
}

/// Finds the ordering comment.
pub(super) fn find<'a>(name: &str, text: &'a [u8]) -> Result<Block<'a>, InputError> {
    let text = decode(name, text)?;
    let lines: Vec<(usize, &str)> = text.lines().enumerate().map(|(index, line)| (index + 1, line)).collect();
    if let Some(line) = conflict(&lines) {
        return Err(InputError::at(name, line, "a merge-conflict marker: resolve the conflict first"));
    }
    let Some(heading) = lines.iter().position(|(_, line)| is_heading(strip(line))) else {
        return Err(InputError::whole(name, "no lock-ordering comment (a line \"Lock ordering:\" starts one)"));
    };
    let end = lines[heading..].iter().position(|(_, line)| line.contains("*/"));
    let in_comment = lines[heading].1.trim_start().starts_with(['*', '/']);
    if in_comment && end.is_none() && lines[..heading].iter().any(|(_, line)| line.contains("/*")) {
        return Err(InputError::at(name, lines.len(), "the lock-ordering comment does not end: the file is cut"));
    }
    let end = end.map_or(lines.len(), |offset| heading + offset);
    let body = lines[heading + 1..end.max(heading + 1)].iter().map(|&(number, line)| (number, strip(line))).collect();
    Ok(Block { line: lines[heading].0, lines: body })
}

fn decode<'a>(name: &str, text: &'a [u8]) -> Result<&'a str, InputError> {
    let line_of = |at: usize| text[..at].iter().filter(|&&byte| byte == b'\n').count() + 1;
    if let Some(at) = text.iter().position(|&byte| byte == 0) {
        return Err(InputError::at(name, line_of(at), "binary data: not a text with a lock order"));
    }
    std::str::from_utf8(text)
        .map_err(|error| InputError::at(name, line_of(error.valid_up_to()), "not UTF-8: not a text with a lock order"))
}

fn conflict(lines: &[(usize, &str)]) -> Option<usize> {
    let is_marker = |line: &str| ["<<<<<<< ", ">>>>>>> ", "||||||| "].iter().any(|marker| line.starts_with(marker));
    lines.iter().find(|(_, line)| is_marker(line)).map(|&(number, _)| number)
}

/// Whether a line starts an ordering comment: `Lock ordering:`, `Lock ordering in mm:`.
fn is_heading(line: &str) -> bool {
    let line = line.trim().to_ascii_lowercase();
    let Some(rest) = line.strip_prefix("lock order").or_else(|| line.strip_prefix("locking order")) else {
        return false;
    };
    let rest = rest.strip_prefix("ing").unwrap_or(rest);
    rest == ":" || (rest.starts_with(" in ") && rest.ends_with(':'))
}

/// A line without the ` *`, `/*` or `//` that makes it a comment. What is left keeps its indentation.
fn strip(line: &str) -> &str {
    let trimmed = line.trim_start();
    for prefix in ["/**", "/*", "//!", "///", "//", "*"] {
        if let Some(rest) = trimmed.strip_prefix(prefix) {
            return rest.trim_end();
        }
    }
    line.trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &[u8]) -> String {
        find("f.c", text).unwrap_err().to_string()
    }

    #[test]
    fn the_comment_is_found_among_others() {
        let text = b"/*\n * Swap out.\n */\n\n/*\n * Lock ordering:\n *\n *  ->a\n */\nint x;\n";
        let block = find("f.c", text).unwrap();
        assert_eq!(block, Block { line: 6, lines: vec![(7, ""), (8, "  ->a")] });
    }

    #[test]
    fn a_bare_text_needs_no_comment_signs() {
        let block = find("f", b"Lock ordering in bank:\na\n  b\n").unwrap();
        assert_eq!(block.lines, [(2, "a"), (3, "  b")]);
    }

    #[test]
    fn bad_input_is_named_with_its_line() {
        assert_eq!(reason(b"int x;\n"), "f.c: no lock-ordering comment (a line \"Lock ordering:\" starts one)");
        assert_eq!(reason(b"a\nb\0c"), "f.c:2: binary data: not a text with a lock order");
        assert_eq!(reason(b"a\n\nb\xff"), "f.c:3: not UTF-8: not a text with a lock order");
        assert!(reason(b"/*\n * Lock ordering:\n *\n * a\n").contains("f.c:4: the lock-ordering comment does not end"));
        let conflict = b"/*\n * Lock ordering:\n<<<<<<< HEAD\n * a\n=======\n * b\n>>>>>>> theirs\n */\n";
        assert_eq!(reason(conflict), "f.c:3: a merge-conflict marker: resolve the conflict first");
    }
}
