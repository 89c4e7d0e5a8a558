//! Many lines of a program that acquire one lock, as real programs have them: each is an acquisition point of its own.
//!
//! One after the other, in one function. Called through a table they would measure how well a processor foresees where
//! such a call goes, which depends on the addresses that the process happens to have: seven nanoseconds more or less.

use std::hint::black_box;

use crate::locks::Lock;

/// How many lines there are.
pub const COUNT: usize = 64;

/// Acquires and releases at all lines in turn, `times` times altogether, which is a multiple of [`COUNT`].
#[inline(never)]
pub fn spin<L: Lock>(lock: &L, times: u64) {
    for _ in 0..times / COUNT as u64 {
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
        drop(black_box(lock).acquire());
    }
}
