//! The nest lock: who nests locks of one class under another lock must hold that lock.
//!
//! It excuses the nesting over locks that were acquired under it, nothing else: unlike in the kernel, dependencies on all other held locks are
//! still learnt, and a chain of an excused acquisition is never taken for proven.

use crate::{
    held::{HeldLock, HeldStack},
    request::Request,
};

/// Returns whether the acquisition names a nest lock that is not held.
pub(crate) fn is_missing(held: &HeldStack, request: &Request) -> bool {
    request.nest.is_some_and(|nest| held.find(nest).is_none())
}

/// Returns whether the nest lock of the acquisition excuses nesting over `lock`: it was held before.
pub(crate) fn excuses(held: &HeldStack, request: &Request, lock: HeldLock) -> bool {
    request.nest.is_some_and(|nest| held.is_above(lock, nest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Acquired, ClassId, Mode, Point};

    #[test]
    fn the_nest_lock_is_looked_for_on_the_whole_stack() {
        let held = HeldStack::new();
        let request = Request::new(Acquired::new(ClassId::new(1), Mode::Exclusive, false), 7, Point::new(1));
        assert!(!is_missing(&held, &request));
        let nested = Request { nest: Some(7), ..request };
        assert!(is_missing(&held, &nested));
        held.push(request.how, 7, request.point);
        held.push(request.how, 8, request.point);
        assert!(!is_missing(&held, &nested));
        let (first, second) = (held.get(0).unwrap(), held.get(1).unwrap());
        assert!(excuses(&held, &nested, second) && !excuses(&held, &Request { nest: Some(8), ..nested }, first));
    }
}
