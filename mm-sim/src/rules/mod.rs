//! Which kernel's rules are in force.
//!
//! * `protocol`: the decisions of one kernel, as a value.
//! * `bug`: what an operation does wrong, where that is no decision of a whole kernel.
//! * `what_if`: a decision made otherwise, by name.

pub(crate) mod bug;
pub(crate) mod protocol;
pub(crate) mod what_if;
