//! The rules, one file each. A rule looks at what a thread holds and at what it is about to acquire.

mod cycle;
mod recursion;

pub(crate) use cycle::relevant;
pub(crate) use recursion::{Nesting, nesting};
