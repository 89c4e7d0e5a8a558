//! The concurrent parts of lockdep's runtime, compiled with [loom](https://docs.rs/loom)'s types in place of those that
//! really synchronise, so that their tests see every schedule, and every value that a weak memory may show.
//!
//! The modules are the runtime's own files. `sync` is the one module that differs: what they are built of.

#![allow(dead_code, unreachable_pub, reason = "the runtime uses what the tests do not")]

#[path = "../../src/runtime/attention.rs"]
mod attention;
#[path = "../../src/runtime/budget.rs"]
mod budget;
#[path = "../../src/runtime/numbers.rs"]
mod numbers;
#[path = "../../src/runtime/points.rs"]
mod points;
mod sync;

#[cfg(test)]
mod tests;
