//! [`Chains`]: held sequences, and what they tell beyond the printed dependencies.
//!
//! A chain is the held sequence at the moment its last lock was acquired. The kernel lists it only if that lock was
//! waited for: a trylocked lock stands in the middle of longer chains, and no chain ends with it. So a listed chain proves
//! that its last lock was acquired under all the others, even where `/proc/lockdep` prints no dependency (it leaves out
//! those that skip over a trylocked lock or an RCU section); and a beginning of a chain that is not listed itself proves
//! a trylock.

use std::collections::{HashMap, HashSet};

/// How often one lock was acquired under another, and where that stands first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldTogether {
    /// In how many sequences.
    pub count: u32,
    /// The line of the first one's last lock.
    pub line: u32,
    /// Whether the inner lock was trylocked each time, so that this says nothing about an order.
    pub by_trylock: bool,
}

/// What the chains of one boot say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chains {
    /// The file.
    pub file: String,
    /// Chains of class numbers, outermost first, with the line of the last lock.
    chains: Vec<(Vec<usize>, u32)>,
    together: HashMap<(usize, usize), HeldTogether>,
}

impl Chains {
    /// Chains of a file, not indexed yet: class numbers, outermost first, with the line of the last lock.
    pub(super) fn new(file: &str, chains: Vec<(Vec<usize>, u32)>) -> Self {
        Self { file: file.to_owned(), chains, together: HashMap::new() }
    }

    /// Returns how two classes were held together.
    pub fn together(&self, outer: usize, inner: usize) -> Option<HeldTogether> {
        self.together.get(&(outer, inner)).copied()
    }

    /// Returns how many chains there are.
    pub fn len(&self) -> usize {
        self.chains.len()
    }

    /// Returns whether there is no chain.
    pub fn is_empty(&self) -> bool {
        self.chains.is_empty()
    }

    /// Fills the table of pairs. `is_lock` says of a class whether dependencies lead from it: what takes part in none is a
    /// section rather than a lock.
    pub(super) fn index(&mut self, is_lock: impl Fn(usize) -> bool) {
        self.together.clear();
        let mut seen: HashSet<&[usize]> = self.chains.iter().map(|(chain, _)| chain.as_slice()).collect();
        for (chain, line) in &self.chains {
            add(&mut self.together, &is_lock, chain, *line, false);
        }
        for (chain, line) in &self.chains {
            for end in 2..chain.len() {
                if seen.insert(&chain[..end]) {
                    add(&mut self.together, &is_lock, &chain[..end], *line, true);
                }
            }
        }
    }

    /// The same chains with other class numbers.
    pub(super) fn renumbered(&self, numbers: &[usize]) -> Self {
        let chain = |(chain, line): &(Vec<usize>, u32)| (chain.iter().map(|&class| numbers[class]).collect(), *line);
        Self { file: self.file.clone(), chains: self.chains.iter().map(chain).collect(), together: HashMap::new() }
    }
}

/// Counts the pairs of a sequence's last lock.
fn add(
    together: &mut HashMap<(usize, usize), HeldTogether>,
    is_lock: impl Fn(usize) -> bool,
    sequence: &[usize],
    line: u32,
    by_trylock: bool,
) {
    let Some((&last, held)) = sequence.split_last() else { return };
    for &outer in held.iter().filter(|&&class| is_lock(class)) {
        let known = together.entry((outer, last)).or_insert(HeldTogether { count: 0, line, by_trylock });
        // What was waited for once counts; trylocks beside it do not.
        known.count += u32::from(known.by_trylock == by_trylock);
    }
}
