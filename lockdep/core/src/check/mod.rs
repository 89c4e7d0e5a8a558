//! The rules, one file each. A rule looks at what a thread holds and at what it is about to do.

mod cycle;
mod declared_order;
pub(crate) mod lifetime;
mod nest;
mod recursion;
mod usage;
mod wait_type;

pub(crate) use cycle::relevant;
pub(crate) use declared_order::out_of_order;
pub(crate) use nest::{excuses, is_missing};
pub(crate) use recursion::{Nesting, nesting};
pub(crate) use usage::{UsageGraph, enabled, used_in};
pub(crate) use wait_type::{await_point, exceeded};
