//! The grammar of one line of an ordering comment.
//!
//! ```text
//! line  = blank | heading | entry | prose
//! heading = text ":"                                    hugetlbfs PageHuge() take locks in this order:
//! entry = [ "->" ] locks [ " (" annotation ")" ] [ " * (" cross reference ")" ]
//! locks = alternatives { "," alternatives }             anon_vma->rwsem,mapping->i_mmap_rwsem
//! alternatives = name { " or " name }                   mm->page_table_lock or pte_lock
//! name  = word | up to four words, of which the last is a lock word    i_pages lock, page->flags PG_locked
//! ```

/// What a line turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Blank,
    Heading(String),
    Entry(EntryLine),
    Prose,
}

/// An entry, or the start of one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EntryLine {
    pub(super) indent: usize,
    pub(super) arrow: bool,
    pub(super) locks: Vec<Vec<String>>,
    /// What follows the names, untouched.
    pub(super) tail: String,
}

const TAB: usize = 8;

/// Reads a line whose comment prefix is off.
pub(super) fn read(line: &str) -> Line {
    // Some versions have a second star before a heading.
    let text = line.trim().strip_prefix("* ").map_or(line.trim(), str::trim_start);
    if text.is_empty() {
        return Line::Blank;
    }
    if text.ends_with(':') && text.contains(' ') {
        return Line::Heading(text.to_owned());
    }
    let (arrow, names) = text.strip_prefix("->").map_or((false, text), |rest| (true, rest.trim_start()));
    let (names, tail) = split_tail(names);
    match locks(names) {
        Some(locks) => Line::Entry(EntryLine { indent: indent(line), arrow, locks, tail: tail.to_owned() }),
        None => Line::Prose,
    }
}

/// The columns before the text.
fn indent(line: &str) -> usize {
    let blanks = line.chars().take_while(|c| c.is_whitespace());
    blanks.fold(0, |column, c| if c == '\t' { (column / TAB + 1) * TAB } else { column + 1 })
}

/// Cuts before the first parenthesis or star that stands behind a blank: one that is glued to a name belongs to it.
fn split_tail(text: &str) -> (&str, &str) {
    let mut blank = false;
    for (at, c) in text.char_indices() {
        if blank && matches!(c, '(' | '*') {
            return (text[..at].trim_end(), &text[at..]);
        }
        blank = c.is_whitespace();
    }
    (text, "")
}

pub(super) fn locks(text: &str) -> Option<Vec<Vec<String>>> {
    split_commas(text).into_iter().map(alternatives).collect()
}

/// Splits at commas outside braces and parentheses.
fn split_commas(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0usize, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn alternatives(text: &str) -> Option<Vec<String>> {
    text.split(" or ").map(name).collect()
}

/// A lock's name with single blanks, or nothing if the text looks like prose.
fn name(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let last = words.last()?.to_ascii_lowercase();
    let is_lock_word = ["lock", "sem", "mutex"].iter().any(|word| last.contains(word));
    let is_name = words.iter().all(|word| is_name_word(word)) && (words.len() == 1 || words.len() <= 4 && is_lock_word);
    is_name.then(|| words.join(" "))
}

fn is_name_word(word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || "_->.&*/#:{},()[]$<>'".contains(c);
    word.chars().all(is_part) && word.chars().any(char::is_alphanumeric) && !word.ends_with(['.', ':', ','])
}

/// Splits a complete tail into the annotation and a trailing cross reference; `None` if anything else is there.
pub(super) fn annotation(tail: &str) -> Option<Option<String>> {
    let mut rest = tail.trim();
    let mut parts = Vec::new();
    while !rest.is_empty() {
        rest = rest.strip_prefix('*').unwrap_or(rest).trim_start();
        let end = closing(rest)?;
        parts.push(rest[1..end].split_whitespace().collect::<Vec<_>>().join(" "));
        rest = rest[end + 1..].trim_start();
    }
    Some((!parts.is_empty()).then(|| parts.join("; ")))
}

/// The place of the parenthesis that closes the one at the start.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' if depth == 1 => return Some(at),
            ')' => depth -= 1,
            _ if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// How many parentheses of a tail are open at its end.
pub(super) fn open_parentheses(tail: &str) -> usize {
    tail.chars().fold(0, |depth: usize, c| match c {
        '(' => depth + 1,
        ')' => depth.saturating_sub(1),
        _ => depth,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(line: &str) -> (usize, bool, String, String) {
        match read(line) {
            Line::Entry(entry) => {
                let locks: Vec<_> = entry.locks.iter().map(|names| names.join("|")).collect();
                (entry.indent, entry.arrow, locks.join(" & "), entry.tail)
            }
            other => panic!("{line:?} is {other:?}"),
        }
    }

    #[test]
    fn names_of_every_shape() {
        let cases = [
            (" a->rwsem\t(while b, c)", (1, false, "a->rwsem", "(while b, c)")),
            ("  ->mmap_lock", (2, true, "mmap_lock", "")),
            ("   a->b_lock or c_lock", (3, false, "a->b_lock|c_lock", "")),
            (" a->rwsem,b->rwsem   (x, y)", (1, false, "a->rwsem & b->rwsem", "(x, y)")),
            (" i_pages lock (widely", (1, false, "i_pages lock", "(widely")),
            (
                " page->flags PG_locked (lock_page)   * (see below)",
                (1, false, "page->flags PG_locked", "(lock_page)   * (see below)"),
            ),
            (" mem_{begin,end}_stat (m->lock)", (1, false, "mem_{begin,end}_stat", "(m->lock)")),
            (" zone_lru_lock(zone) (in x)", (1, false, "zone_lru_lock(zone)", "(in x)")),
            (" pte map lock", (1, false, "pte map lock", "")),
            ("\ttabbed", (8, false, "tabbed", "")),
        ];
        for (line, (indent, arrow, locks, tail)) in cases {
            assert_eq!(entry(line), (indent, arrow, locks.to_owned(), tail.to_owned()), "{line:?}");
        }
    }

    #[test]
    fn headings_blanks_and_prose() {
        assert_eq!(read("  "), Line::Blank);
        assert_eq!(
            read(" * huge pages take locks in this order:"),
            Line::Heading("huge pages take locks in this order:".into())
        );
        for prose in [" the sem is taken before the page is locked;", " down_write(); up_write();", " See the book."] {
            assert_eq!(read(prose), Line::Prose, "{prose:?}");
        }
    }

    #[test]
    fn annotations_are_joined_and_doubts_told() {
        assert_eq!(annotation("(a (b), c's)"), Some(Some("a (b), c's".into())));
        assert_eq!(annotation("(a)   * (see x)"), Some(Some("a; see x".into())));
        assert_eq!(annotation(""), Some(None));
        assert_eq!(annotation("(a) b"), None);
        assert_eq!(open_parentheses("(a, (b)"), 1);
    }
}
