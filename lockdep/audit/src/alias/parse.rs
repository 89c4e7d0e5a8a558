//! Reads an alias table.

use super::{Aliases, Condition, Gone, LockInfo, Pattern, plain};
use crate::InputError;

pub(super) fn extend(aliases: &mut Aliases, file: &str, text: &str) -> Result<(), InputError> {
    let mut lock = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let error = |reason: String| InputError::at(file, index + 1, reason);
        let (key, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let value = value.trim();
        if let Some(scope) = key.strip_prefix("gone") {
            aliases.gone.push(gone(scope.strip_prefix('@'), value).map_err(error)?);
            continue;
        }
        if key == "lock" {
            lock = Some(aliases.lock(value).ok_or_else(|| error("a lock without a name".to_owned()))?);
            continue;
        }
        let lock = lock.ok_or_else(|| error(format!("`{key}` before the first `lock`")))?;
        aliases.line(lock, key, value).map_err(error)?;
    }
    Ok(())
}

/// `NAME since VERSION = REMARK`.
fn gone(scope: Option<&str>, value: &str) -> Result<Gone, String> {
    let parts = || {
        let (head, remark) = value.split_once(" = ")?;
        let (name, version) = head.rsplit_once(" since ")?;
        let (major, minor) = version.trim().split_once('.')?;
        let since = (major.parse().ok()?, minor.parse().ok()?);
        let scope = scope.map(str::to_owned);
        Some(Gone { name: plain(name).to_owned(), scope, since, remark: remark.trim().to_owned() })
    };
    parts().ok_or_else(|| "`gone` needs `NAME since VERSION = REMARK`".to_owned())
}

impl Aliases {
    /// The number of the lock called `name`, which is new or not.
    fn lock(&mut self, name: &str) -> Option<usize> {
        if name.is_empty() {
            return None;
        }
        let known = self.locks.iter().position(|lock| lock.name == name);
        Some(known.unwrap_or_else(|| {
            self.locks.push(LockInfo { name: name.to_owned(), ..LockInfo::default() });
            self.documents.insert((None, plain(name).to_owned()), self.locks.len() - 1);
            self.locks.len() - 1
        }))
    }

    fn line(&mut self, lock: usize, key: &str, value: &str) -> Result<(), String> {
        let info = &mut self.locks[lock];
        match key {
            "invisible" => info.is_invisible = true,
            "core" => info.is_core = true,
            _ if value.is_empty() => return Err(format!("`{key}` without a value, or no known word")),
            "insert" => info.insert = Some(value.to_owned()),
            "about" => info.about = Some(value.to_owned()),
            "doc" => self.document(lock, None, value),
            "old" => {
                let (name, remark) = value.split_once(" = ").ok_or("`old` needs `NAME = REMARK`")?;
                self.document(lock, None, name);
                self.stale.insert(plain(name).to_owned(), remark.trim().to_owned());
            }
            "class" => self.class(lock, value)?,
            _ => match key.strip_prefix("doc@") {
                Some(scope) => self.document(lock, Some(scope), value),
                None => return Err(format!("unknown word `{key}`")),
            },
        }
        Ok(())
    }

    fn document(&mut self, lock: usize, scope: Option<&str>, name: &str) {
        self.documents.insert((scope.map(str::to_owned), plain(name).to_owned()), lock);
    }

    fn class(&mut self, lock: usize, value: &str) -> Result<(), String> {
        let (name, condition) = match value.split_once(" if ") {
            None => (value, Condition::Always),
            Some((name, condition)) => {
                let (side, other) =
                    condition.trim().split_once(' ').ok_or("`if` needs `before CLASS` or `after CLASS`")?;
                let other = plain(other).to_owned();
                let condition = match side {
                    "before" => Condition::Before(other),
                    "after" => Condition::After(other),
                    _ => return Err(format!("`if {side}`: known are `if before` and `if after`")),
                };
                (name, condition)
            }
        };
        let patterns = self.classes.entry(plain(name).to_owned()).or_default();
        patterns.retain(|pattern| pattern.condition != condition);
        patterns.push(Pattern { lock, condition });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_table_extends_the_built_in_one() {
        let mut aliases = Aliases::builtin();
        aliases
            .extend("mine", "lock mm->mmap_lock\n  doc the big one\nlock tree\n class &t->lock if before leaf\n")
            .unwrap();
        assert_eq!(aliases.of_document("the big one", None), "mm->mmap_lock");
        assert_eq!(aliases.of_document("&mm->mmap_sem", None), "mm->mmap_lock");
        assert_eq!(aliases.of_document("->tree", None), "tree");
        assert_eq!(aliases.stale("mmap_sem"), Some("called mmap_lock since 5.8"));
        assert_eq!(aliases.stale("mmap_lock"), None);
    }

    #[test]
    fn a_scope_decides_what_a_word_means() {
        let aliases = Aliases::builtin();
        assert_eq!(aliases.of_document("mapping->i_mmap_rwsem", None), "mapping->i_mmap_rwsem");
        assert_eq!(aliases.of_document("mapping->i_mmap_rwsem", Some("hugetlbfs")), "hugetlbfs_i_mmap_rwsem_key");
    }

    #[test]
    fn bad_lines_are_named() {
        for (text, reason) in [
            ("doc x", "t:1: `doc` before the first `lock`"),
            ("\nlock", "t:2: a lock without a name"),
            ("lock a\ndocs b", "t:2: unknown word `docs`"),
            ("gone a = b", "t:1: `gone` needs `NAME since VERSION = REMARK`"),
            ("lock a\nold b", "t:2: `old` needs `NAME = REMARK`"),
            ("lock a\nclass b if near c", "t:2: `if near`: known are `if before` and `if after`"),
        ] {
            assert_eq!(Aliases::empty().extend("t", text).unwrap_err().to_string(), reason);
        }
    }
}
