//! [`Request`]: an acquisition that a thread is about to make.

use crate::{
    held::{Acquired, Point},
    mode::WaitKind,
    segment::SegmentId,
};

/// An acquisition that a thread is about to make.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Class, mode and trylock.
    pub how: Acquired,
    /// What it waits for; [`Mode::wait`](crate::Mode::wait) of the mode unless it is an upgrade.
    pub wait: WaitKind,
    /// The identity of the lock.
    pub instance: u64,
    /// Where the thread is.
    pub point: Point,
    /// Whether locks of this class may nest in an order of their own (a class made of a construction site).
    pub orders_instances: bool,
    /// A lock that keeps others from nesting locks of this class; it must be held.
    pub nest: Option<u64>,
    /// The lock's place in the order that its class declares.
    pub rank: Option<u64>,
    /// Whether a lock of the first rank may be held while one of the second rank, of the same class, is acquired; for
    /// classes whose order is a [comparison](crate::SameClass::Compared).
    pub precedes: Option<fn(u64, u64) -> bool>,
    /// Whether this only waits for those who hold the lock, and does not hold it afterwards.
    pub sync: bool,
    /// The thread, by its number.
    pub thread: u32,
    /// The span it is in, by its number.
    pub span: u32,
    /// When it is, as far as spawn and join tell.
    pub segment: SegmentId,
}

impl Request {
    /// A plain acquisition by thread 0.
    pub const fn new(how: Acquired, instance: u64, point: Point) -> Self {
        Self {
            how,
            wait: how.mode().wait(),
            instance,
            point,
            orders_instances: false,
            nest: None,
            rank: None,
            precedes: None,
            sync: false,
            thread: 0,
            span: 0,
            segment: SegmentId::UNKNOWN,
        }
    }
}
