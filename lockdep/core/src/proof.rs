//! [`Proof`]: how much of an acquisition that was checked need not be checked again.

/// What it takes for an acquisition to be known, once the same has been checked: what follows from classes, modes and
/// the place follows each time; what follows from which locks they are follows for these locks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proof {
    /// It is checked every time.
    #[default]
    None,
    /// The same locks are held in the same order, and the same one is acquired: no check, until the validator says that
    /// locks of a class have become [too many](crate::Outcome::crowded).
    Locks,
    /// The same chain at the same place: no check, ever.
    Chain,
}
