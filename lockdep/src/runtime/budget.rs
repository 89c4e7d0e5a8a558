//! [`Budget`]: how much memory a session may take, and what it gives up first.
//!
//! What is counted are the tables that grow with a run, at what an entry takes on the average. When the limit is reached,
//! statistics go first and then stacks; dependencies and points are never given up, so that checking goes on.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};

/// An acquisition point, in bytes.
pub(super) const POINT: usize = 64;
/// A dependency with its first witness.
pub(super) const DEPENDENCY: usize = 320;
/// What goes with a stack besides its addresses.
pub(super) const STACK: usize = 96;

/// The statistics of a class in one way of holding it.
pub(super) const STATISTICS: usize = 512;

/// A limit and what is used of it.
#[derive(Debug, Default)]
pub(super) struct Budget {
    /// 0 is no limit.
    limit: AtomicUsize,
    used: AtomicUsize,
    dropped: AtomicU8,
}

/// What has been given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Dropped {
    Nothing,
    Statistics,
    Stacks,
}

impl Budget {
    pub(super) fn set_limit(&self, bytes: usize) {
        self.limit.store(bytes, Relaxed);
    }

    pub(super) fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// Counts memory. Returns what must be given up now, by the caller and nobody else.
    pub(super) fn charge(&self, bytes: usize) -> Dropped {
        let used = self.used.fetch_add(bytes, Relaxed).saturating_add(bytes);
        let limit = self.limit();
        if limit == 0 || used <= limit || self.dropped() == Dropped::Stacks {
            return Dropped::Nothing;
        }
        match self.dropped.fetch_add(1, Relaxed) {
            0 => Dropped::Statistics,
            1 => Dropped::Stacks,
            _ => {
                self.dropped.store(Dropped::Stacks as u8, Relaxed);
                Dropped::Nothing
            }
        }
    }

    /// Counts memory that was given up.
    pub(super) fn refund(&self, bytes: usize) {
        let _ = self.used.fetch_update(Relaxed, Relaxed, |used| Some(used.saturating_sub(bytes)));
    }

    /// Returns the last thing that was given up.
    pub(super) fn dropped(&self) -> Dropped {
        match self.dropped.load(Relaxed) {
            0 => Dropped::Nothing,
            1 => Dropped::Statistics,
            _ => Dropped::Stacks,
        }
    }
}

/// Reads a size: a number with or without `K`, `M` or `G`.
pub(super) fn parse(text: &str) -> Result<usize, String> {
    let (digits, shift) = match text.strip_suffix(['K', 'M', 'G']) {
        Some(digits) if text.ends_with('K') => (digits, 10),
        Some(digits) if text.ends_with('M') => (digits, 20),
        Some(digits) => (digits, 30),
        None => (text, 0),
    };
    let number: usize = digits.parse().map_err(|_| format!("{text:?} is no size (like 64M)"))?;
    number.checked_mul(1 << shift).filter(|bytes| *bytes > 0).ok_or_else(|| format!("{text:?} is no useful size"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        assert_eq!(parse("64M"), Ok(64 << 20));
        assert_eq!(parse("1000"), Ok(1000));
        assert_eq!(parse("2G").unwrap(), 2 << 30);
        assert!(["", "M", "0", "12X", "-3", "99999999999999999999G"].iter().all(|text| parse(text).is_err()));
    }

    #[test]
    fn each_thing_is_given_up_once_and_in_order() {
        let budget = Budget::default();
        assert_eq!(budget.charge(1 << 40), Dropped::Nothing, "there is no limit");
        budget.refund(1 << 40);
        budget.set_limit(100);
        assert_eq!(budget.charge(100), Dropped::Nothing);
        assert_eq!(budget.charge(1), Dropped::Statistics);
        budget.refund(50);
        assert_eq!(budget.charge(1), Dropped::Nothing, "that was enough");
        assert_eq!(budget.charge(100), Dropped::Stacks);
        assert!((0..300).all(|_| budget.charge(1000) == Dropped::Nothing), "there is nothing else");
        assert_eq!(budget.dropped(), Dropped::Stacks);
    }
}
