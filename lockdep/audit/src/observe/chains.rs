//! `/proc/lockdep_chains`, and what held sequences tell beyond the printed dependencies.
//!
//! ```text
//! all lock chains:
//! irq_context: 0
//! [00000000acb02dc9] cpu_hotplug_lock
//! [00000000593d3e34] static_call_mutex
//!
//! ```
//!
//! A chain is the held sequence at the moment its last lock was acquired. The kernel lists it only if that lock was
//! waited for: a trylocked lock stands in the middle of longer chains, and no chain ends with it. So a listed chain proves
//! that its last lock was acquired under all the others, even where `/proc/lockdep` prints no dependency (it leaves out
//! those that skip over a trylocked lock or an RCU section); and a beginning of a chain that is not listed itself proves
//! a trylock.

use std::collections::{BTreeMap, HashMap, HashSet};

use lockdep_core::Site;

use super::{Observation, Source};
use crate::InputError;

pub(super) const HEADERS: [&str; 2] = ["all lock chains:", "(buggered) all lock chains:"];

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

    /// Fills the table of pairs, for which the dependencies must be known.
    pub(super) fn index(&mut self, observation: &Observation) {
        self.together.clear();
        let mut seen: HashSet<&[usize]> = self.chains.iter().map(|(chain, _)| chain.as_slice()).collect();
        for (chain, line) in &self.chains {
            add(&mut self.together, observation, chain, *line, false);
        }
        for (chain, line) in &self.chains {
            for end in 2..chain.len() {
                if seen.insert(&chain[..end]) {
                    add(&mut self.together, observation, &chain[..end], *line, true);
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

/// Counts the pairs of a sequence's last lock. What takes part in no dependency is a section rather than a lock.
fn add(
    together: &mut HashMap<(usize, usize), HeldTogether>,
    observation: &Observation,
    sequence: &[usize],
    line: u32,
    by_trylock: bool,
) {
    let Some((&last, held)) = sequence.split_last() else { return };
    for &outer in held.iter().filter(|&&class| observation.inner(class).next().is_some()) {
        let known = together.entry((outer, last)).or_insert(HeldTogether { count: 0, line, by_trylock });
        // What was waited for once counts; trylocks beside it do not.
        known.count += u32::from(known.by_trylock == by_trylock);
    }
}

/// Reads the file. Its classes are those of the chains; it has no dependencies.
pub(super) fn parse(file: &str, text: &str) -> Result<Observation, InputError> {
    let mut observation = Observation::new(file, Source::ProcLockdepChains);
    let mut keys: BTreeMap<u64, usize> = BTreeMap::new();
    let (mut chains, mut chain, mut last) = (Vec::new(), Vec::new(), 0);
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let error = |reason: &str| InputError::at(file, number, reason);
        last = number;
        if HEADERS.contains(&line) {
            if number > 1 {
                return Err(error("a second header: two dumps, perhaps of different boots, in one file"));
            }
        } else if line.is_empty() || line.starts_with("irq_context:") {
            flush(&mut chains, &mut chain, number - 1);
        } else {
            let entry = line.strip_prefix('[').and_then(|rest| rest.split_once("] "));
            let (key, name) = entry.ok_or_else(|| error("not a lock of a chain, or cut"))?;
            let key = u64::from_str_radix(key, 16).map_err(|_| error("not a class key"))?;
            let class = observation.add_class(name);
            if let Some(&known) = keys.get(&key).filter(|&&known| known != class) {
                let other = &observation.classes()[known].name;
                return Err(error(&format!("class key {key:016x} is also `{other}`'s: two dumps mixed")));
            }
            keys.insert(key, class);
            observation.set_key(class, key, Site { file: file.to_owned(), line: line_number(number), column: 0 });
            chain.push(class);
        }
    }
    if !text.ends_with('\n') || !chain.is_empty() {
        return Err(InputError::at(file, last.max(1), "the last chain has no end: the dump is cut"));
    }
    observation.chains = Some(Chains { file: file.to_owned(), chains, together: HashMap::new() });
    Ok(observation)
}

fn flush(chains: &mut Vec<(Vec<usize>, u32)>, chain: &mut Vec<usize>, line: usize) {
    if !chain.is_empty() {
        chains.push((std::mem::take(chain), line_number(line)));
    }
}

fn line_number(line: usize) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::{Observation, combine};
    use super::*;

    const DEPENDENCIES: &str = "all lock classes:\n\
        00000000000000a1 FD: 4 BD: 1 ....: a\n -> [00000000000000b2] b\n\n\
        00000000000000b2 FD: 2 BD: 2 ....: b\n -> [00000000000000c3] c\n\n\
        00000000000000c3 FD: 1 BD: 3 ....: c\n\n00000000000000e5 FD: 1 BD: 1 ....: rcu\n\n\
        00000000000000d4 FD: 1 BD: 2 ....: d\n\n";
    const CHAINS: &str = "all lock chains:\nirq_context: 0\n[00000000000000a1] a\n\n\
        irq_context: 0\n[00000000000000b2] b\n\n\
        irq_context: 0\n[00000000000000a1] a\n[00000000000000b2] b\n\n\
        irq_context: softirq\n[00000000000000b2] b\n[00000000000000a1] a\n[00000000000000c3] c\n\n\
        irq_context: 0\n[00000000000000a1] a\n[00000000000000e5] rcu\n[00000000000000d4] d\n\n";

    fn together(outer: usize, inner: usize) -> Option<HeldTogether> {
        let parse = |text: &str| Observation::parse(if text == CHAINS { "c" } else { "d" }, text.as_bytes()).unwrap();
        let seen = combine(vec![parse(DEPENDENCIES), parse(CHAINS)]).unwrap();
        assert_eq!(seen.len(), 1, "dumps of one boot are one observation");
        seen[0].chains.as_ref().unwrap().together(outer, inner)
    }

    #[test]
    fn a_listed_chain_is_an_order_and_a_beginning_that_is_not_listed_a_trylock() {
        let (a, b, c, rcu, d) = (0, 1, 2, 3, 4);
        assert!(!together(a, b).unwrap().by_trylock);
        let reversed = together(b, a).unwrap();
        assert!(reversed.by_trylock, "no chain ends with a under b");
        assert_eq!((reversed.count, reversed.line), (1, 15));
        assert!(!together(a, c).unwrap().by_trylock);
        assert!(!together(a, d).unwrap().by_trylock, "across an RCU section, where no dependency is printed");
        assert_eq!(together(rcu, d), None);
        assert_eq!(together(c, a), None);
    }

    #[test]
    fn dumps_of_different_boots_are_refused() {
        let parse = |name: &str, text: &str| Observation::parse(name, text.as_bytes()).unwrap();
        let other = CHAINS.replace("c3]", "f3]");
        let error = combine(vec![parse("d", DEPENDENCIES), parse("c", &other)]).unwrap_err();
        assert_eq!(error.to_string(), "c:15: `c` has another key in d:8: the dumps are of different boots");
    }

    #[test]
    fn cut_chains_are_refused_with_their_line() {
        let reason = |text: &str| parse("c", text).unwrap_err().to_string();
        assert_eq!(reason(&CHAINS[..CHAINS.len() - 2]), "c:20: the last chain has no end: the dump is cut");
        assert_eq!(reason(&CHAINS[..CHAINS.len() - 1]), "c:20: the last chain has no end: the dump is cut");
        assert_eq!(reason("all lock chains:\nirq_context: 0\n[00a1 a\n\n"), "c:3: not a lock of a chain, or cut");
    }
}
