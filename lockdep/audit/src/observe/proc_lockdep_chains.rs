//! `/proc/lockdep_chains`.
//!
//! ```text
//! all lock chains:
//! irq_context: 0
//! [00000000acb02dc9] cpu_hotplug_lock
//! [00000000593d3e34] static_call_mutex
//!
//! ```

use std::collections::BTreeMap;

use lockdep_core::Site;

use super::{Chains, Observation, Source};
use crate::InputError;

pub(super) const HEADERS: [&str; 2] = ["all lock chains:", "(buggered) all lock chains:"];

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
    observation.chains = Some(Chains::new(file, chains));
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
    use super::super::{HeldTogether, Observation, combine};
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
