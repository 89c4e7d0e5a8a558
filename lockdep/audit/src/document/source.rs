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

/// Reads the bytes as lines, each with its number.
pub(super) fn lines<'a>(name: &str, text: &'a [u8]) -> Result<Vec<(usize, &'a str)>, InputError> {
    let text = decode(name, text)?;
    let lines: Vec<(usize, &str)> = text.lines().enumerate().map(|(index, line)| (index + 1, line)).collect();
    match conflict(&lines) {
        Some(line) => Err(InputError::at(name, line, "a merge-conflict marker: resolve the conflict first")),
        None => Ok(lines),
    }
}

/// Finds the ordering comment, or the section of a reStructuredText; `None` if there is none.
pub(super) fn find<'a>(name: &str, lines: &[(usize, &'a str)]) -> Result<Option<Block<'a>>, InputError> {
    if let Some(block) = section(lines) {
        return Ok(Some(block));
    }
    let Some(heading) = lines.iter().position(|(_, line)| is_heading(strip(line))) else { return Ok(None) };
    let end = lines[heading..].iter().position(|(_, line)| line.contains("*/"));
    let in_comment = lines[heading].1.trim_start().starts_with(['*', '/']);
    if in_comment && end.is_none() && lines[..heading].iter().any(|(_, line)| line.contains("/*")) {
        return Err(InputError::at(name, lines.len(), "the lock-ordering comment does not end: the file is cut"));
    }
    let end = end.map_or(lines.len(), |offset| heading + offset);
    let body = lines[heading + 1..end.max(heading + 1)].iter().map(|&(number, line)| (number, strip(line))).collect();
    Ok(Some(Block { line: lines[heading].0, lines: body }))
}

/// The code blocks of a section `Lock ordering` that is underlined, as in `process_addrs.rst`.
fn section<'a>(lines: &[(usize, &'a str)]) -> Option<Block<'a>> {
    let is_rule = |text: &str| {
        let sign = text.chars().next().filter(char::is_ascii_punctuation);
        text.len() > 3 && sign.is_some_and(|sign| text.chars().all(|c| c == sign))
    };
    let is_title =
        |at: usize| lines.get(at + 1).is_some_and(|(_, next)| is_rule(next)) && !lines[at].1.trim().is_empty();
    let start =
        (0..lines.len()).find(|&at| is_title(at) && lines[at].1.trim().eq_ignore_ascii_case("lock ordering"))?;
    let end = (start + 2..lines.len()).find(|&at| is_title(at)).unwrap_or(lines.len());
    let (mut body, mut in_code) = (Vec::new(), false);
    for &(number, line) in &lines[start + 2..end] {
        let is_text = !line.trim().is_empty() && !line.starts_with([' ', '\t']);
        if line.starts_with(".. code-block::") || (is_text && line.trim_end().ends_with("::")) {
            in_code = true;
            body.push((number, ""));
        } else if is_text {
            in_code = false;
        } else if in_code && !is_heading(line) {
            body.push((number, line.trim_end()));
        }
    }
    Some(Block { line: lines[start].0, lines: body })
}

/// Lines that declare an order by themselves: `// Lock order: a -> b -> c`.
pub(super) fn declarations<'a>(lines: &[(usize, &'a str)]) -> Vec<(usize, &'a str)> {
    let declaration = |&(number, line): &(usize, &'a str)| {
        let text = strip(line).trim();
        let (head, chain) = text.split_at_checked(text.find(':')? + 1)?;
        let is_declared =
            ["lock order:", "locking order:", "lock ordering:"].contains(&head.to_ascii_lowercase().as_str());
        (is_declared && chain.contains(" -> ") && is_comment(line)).then(|| (number, chain.trim()))
    };
    lines.iter().filter_map(declaration).collect()
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with(['*', '/'])
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

    fn block(text: &[u8]) -> Result<Option<Block<'_>>, InputError> {
        find("f.c", &lines("f.c", text)?)
    }

    fn reason(text: &[u8]) -> String {
        block(text).unwrap_err().to_string()
    }

    #[test]
    fn the_comment_is_found_among_others() {
        let text = b"/*\n * Swap out.\n */\n\n/*\n * Lock ordering:\n *\n *  ->a\n */\nint x;\n";
        let block = block(text).unwrap().unwrap();
        assert_eq!(block, Block { line: 6, lines: vec![(7, ""), (8, "  ->a")] });
    }

    #[test]
    fn a_bare_text_needs_no_comment_signs() {
        let block = block(b"Lock ordering in bank:\na\n  b\n").unwrap().unwrap();
        assert_eq!(block.lines, [(2, "a"), (3, "  b")]);
    }

    #[test]
    fn bad_input_is_named_with_its_line() {
        assert_eq!(block(b"int x;\n"), Ok(None));
        assert_eq!(reason(b"a\nb\0c"), "f.c:2: binary data: not a text with a lock order");
        assert_eq!(reason(b"a\n\nb\xff"), "f.c:3: not UTF-8: not a text with a lock order");
        assert!(reason(b"/*\n * Lock ordering:\n *\n * a\n").contains("f.c:4: the lock-ordering comment does not end"));
        let conflict = b"/*\n * Lock ordering:\n<<<<<<< HEAD\n * a\n=======\n * b\n>>>>>>> theirs\n */\n";
        assert_eq!(reason(conflict), "f.c:3: a merge-conflict marker: resolve the conflict first");
    }

    #[test]
    fn the_code_blocks_of_a_section_are_the_document() {
        let text = b"Title\n=====\n\nLock ordering\n-------------\n\nSome words.\n\n.. code-block::\n\n  a\n    b\n\n\
            More words::\n\n  ->c\n\nThe end of it.\n\n  not code\n\nOther\n-----\n\n.. code-block::\n\n  z\n";
        let block = block(text).unwrap().unwrap();
        let names: Vec<_> = block.lines.iter().filter(|(_, line)| !line.is_empty()).copied().collect();
        assert_eq!((block.line, names), (4, vec![(11, "  a"), (12, "    b"), (16, "  ->c")]));
    }

    #[test]
    fn one_line_declarations_are_comments_with_an_arrow() {
        let text = b"//! Lock order: a -> b\nfn x() { \"Lock order: c -> d\" }\n/* Lock order: e->f */\n  * Lock ordering: g -> h\n";
        assert_eq!(declarations(&lines("f.rs", text).unwrap()), [(1, "a -> b"), (4, "g -> h")]);
    }
}
