//! Stacks: captured as bare addresses, kept once each, resolved when a report is rendered.

use std::{collections::HashMap, ffi::c_void};

use lockdep_core::{Frame, Site};
use once_cell::sync::Lazy;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::paths;

/// How deep a stack is captured.
const DEPTH_MAX: usize = 64;

/// The number of a stack in a [`StackTable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StackId(u32);

impl StackId {
    /// No stack.
    pub(super) const NONE: Self = Self(u32::MAX);
}

/// Every stack once.
#[derive(Debug, Default)]
pub(super) struct StackTable {
    by_addresses: FxHashMap<Box<[usize]>, StackId>,
    stacks: Vec<Box<[usize]>>,
    closed: bool,
}

impl StackTable {
    /// Returns the number of a captured stack, and whether it is new.
    pub(super) fn intern(&mut self, addresses: Vec<usize>) -> (StackId, bool) {
        if self.closed {
            return (StackId::NONE, false);
        }
        let addresses = addresses.into_boxed_slice();
        if let Some(&known) = self.by_addresses.get(&addresses) {
            return (known, false);
        }
        let id = StackId(u32::try_from(self.stacks.len()).unwrap_or(u32::MAX));
        self.stacks.push(addresses.clone());
        self.by_addresses.insert(addresses, id);
        (id, true)
    }

    /// Forgets all stacks and takes no more: their numbers are then those of none. Returns how many bytes they took.
    pub(super) fn close(&mut self) -> usize {
        let stacks = std::mem::replace(self, Self { closed: true, ..Self::default() }).stacks;
        stacks.iter().map(|stack| 2 * size_of_val(&stack[..]) + super::budget::STACK).sum()
    }

    /// Returns how many stacks there are.
    pub(super) fn len(&self) -> usize {
        self.stacks.len()
    }

    /// Returns the addresses of a stack, innermost first.
    pub(super) fn addresses(&self, id: StackId) -> Vec<usize> {
        self.stacks.get(id.0 as usize).map(|stack| stack.to_vec()).unwrap_or_default()
    }
}

/// Returns the addresses of this thread's stack, innermost first.
pub(super) fn capture() -> Vec<usize> {
    let mut addresses = Vec::with_capacity(DEPTH_MAX);
    backtrace::trace(|frame| {
        addresses.push(frame.ip().addr());
        addresses.len() < DEPTH_MAX
    });
    addresses
}

/// The functions of each address met so far.
static RESOLVED: Lazy<Mutex<HashMap<usize, Vec<Frame>>>> = Lazy::new(Default::default);

/// Returns the functions of a stack, innermost first, without those of this crate and of the Rust runtime.
pub(super) fn resolve(addresses: &[usize]) -> Vec<Frame> {
    let mut resolved = RESOLVED.lock();
    let frames =
        addresses.iter().flat_map(|&address| resolved.entry(address).or_insert_with(|| functions(address)).clone());
    frames.filter(|frame| !is_noise(&frame.function)).collect()
}

/// Returns the functions of an address: more than one where some were inlined.
fn functions(address: usize) -> Vec<Frame> {
    let mut functions = Vec::new();
    backtrace::resolve(std::ptr::without_provenance_mut::<c_void>(address), |symbol| {
        let Some(name) = symbol.name() else { return };
        if symbol.filename().is_some_and(|file| is_noisy_file(&file.to_string_lossy())) {
            return;
        }
        let site = symbol.filename().zip(symbol.lineno()).map(|(file, line)| Site {
            file: paths::shorten(&file.to_string_lossy()),
            line,
            column: symbol.colno().unwrap_or(0),
        });
        // The alternate form leaves the hash out.
        functions.push(Frame { function: format!("{name:#}"), site });
    });
    functions
}

/// Files whose functions tell nobody anything: ours, the standard library's, the stack walker's. Inlined functions have
/// no path in their names where debug information is short, so the file decides first.
fn is_noisy_file(file: &str) -> bool {
    file.starts_with(concat!(env!("CARGO_MANIFEST_DIR"), "/src/"))
        || file.starts_with("/rustc/")
        || file.contains("/library/std/src/")
        || file.contains("/backtrace-0.")
}

/// Functions that tell nobody anything: ours, the standard library's, the test harness's, what starts a thread.
fn is_noise(function: &str) -> bool {
    const PATHS: [&str; 6] = ["lockdep::", "backtrace::", "std::", "core::", "alloc::", "test::"];
    const NAMES: [&str; 6] = ["main", "_start", "start_thread", "clone", "clone3", "__libc_start_main"];
    let path = function.trim_start_matches(['<', '&']);
    let path = path.strip_prefix("mut ").unwrap_or(path);
    let path = path.strip_prefix("dyn ").unwrap_or(path);
    PATHS.iter().any(|prefix| path.starts_with(prefix))
        || NAMES.contains(&function)
        || function.starts_with("__rust")
        || function.starts_with("__libc_")
        || function.contains(" as core::ops::function::Fn")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_stacks_are_kept_once() {
        let mut table = StackTable::default();
        let (first, new) = table.intern(vec![1, 2, 3]);
        assert!(new);
        assert_ne!(first, table.intern(vec![1, 2]).0);
        assert_eq!((first, false), table.intern(vec![1, 2, 3]));
        assert_eq!(table.addresses(first), [1, 2, 3]);
        assert!(table.close() > 5 * size_of::<usize>());
        assert_eq!(table.intern(vec![1]), (StackId::NONE, false));
        assert!(table.addresses(first).is_empty() && table.addresses(StackId::NONE).is_empty());
    }

    #[test]
    fn noise_is_told_from_what_a_user_wrote() {
        let noise = [
            "lockdep::sync::mutex::Mutex<T>::lock",
            "<lockdep::map::LockMap as core::fmt::Debug>::fmt",
            "core::ops::function::FnOnce::call_once",
            "<alloc::boxed::Box<F,A> as core::ops::function::FnOnce<Args>>::call_once",
            "<&F as core::ops::function::Fn<A>>::call",
            "main",
            "__libc_start_call_main",
            "__rust_begin_short_backtrace",
        ];
        for function in noise {
            assert!(is_noise(function), "{function}");
        }
        for function in ["bank::main", "lockdep_user::main", "<bank::Account as core::ops::Drop>::drop", "test_it::run"]
        {
            assert!(!is_noise(function), "{function}");
        }
    }

    #[test]
    fn files_of_ours_are_told_from_those_of_a_user() {
        assert!(is_noisy_file("/rustc/0123/library/core/src/ops/function.rs"));
        assert!(is_noisy_file(concat!(env!("CARGO_MANIFEST_DIR"), "/src/hooks/../runtime/thread.rs")));
        assert!(is_noisy_file("/home/u/.cargo/registry/src/host-1/backtrace-0.3.77/src/backtrace/mod.rs"));
        assert!(!is_noisy_file(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/inversion.rs")));
        assert!(!is_noisy_file("src/main.rs"));
    }
}
