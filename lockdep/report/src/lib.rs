//! Renderers: a [`Report`](lockdep_core::Report) in, text or another format out. One file a format, no judgement.

pub mod classes;
pub mod explain;
pub mod json;
pub mod stats;
pub mod text;
pub mod threads;
