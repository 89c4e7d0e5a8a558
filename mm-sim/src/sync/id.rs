//! [`LockId`]: which lock something is said of.

/// A lock: its class, and what owns it.
pub(crate) type LockId = (&'static str, &'static str, u64);

/// Names a lock that has no owner: a pseudo lock, RCU, interrupts.
pub(crate) const fn unowned(class: &'static str) -> LockId {
    (class, "machine", 0)
}
