//! [`ClassName`]: a class's name without its number and subclass.

use std::fmt;

/// A class name as dumps and journals print it, taken apart: `&mm->mmap_lock/1`, `&xa->xa_lock#4`, `a#2/1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClassName {
    /// The name.
    pub base: String,
    /// The number among the classes of this name, from 1.
    pub number: u32,
    /// The nesting level.
    pub subclass: u8,
}

impl ClassName {
    /// Takes a name apart. What looks like no number stays in the name.
    ///
    /// ```
    /// use lockdep_audit::observe::ClassName;
    ///
    /// let name = ClassName::parse("&sb->s_type->i_mutex_key#8/4");
    /// assert_eq!((name.base.as_str(), name.number, name.subclass), ("&sb->s_type->i_mutex_key", 8, 4));
    /// assert_eq!(name.to_string(), "&sb->s_type->i_mutex_key#8/4");
    /// assert_eq!(ClassName::parse("a/b").base, "a/b");
    /// ```
    pub fn parse(text: &str) -> Self {
        let (text, subclass) = suffix(text, '/').unwrap_or((text, 0));
        let (base, number) = suffix(text, '#').unwrap_or((text, 1));
        Self { base: base.to_owned(), number, subclass }
    }
}

/// The text before a sign and the number behind it.
fn suffix<T: std::str::FromStr + fmt::Display>(text: &str, sign: char) -> Option<(&str, T)> {
    let (head, number) = text.rsplit_once(sign).filter(|(head, _)| !head.is_empty())?;
    let value: T = number.parse().ok()?;
    // A number in another shape (`#04`) belongs to the name.
    (value.to_string() == number).then_some((head, value))
}

impl fmt::Display for ClassName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)?;
        if self.number != 1 {
            write!(f, "#{}", self.number)?;
        }
        if self.subclass != 0 {
            write!(f, "/{}", self.subclass)?;
        }
        Ok(())
    }
}
