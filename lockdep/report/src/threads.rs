//! What all threads hold and wait for, as the kernel shows it when a system hangs.

use std::fmt::{self, Write};

use lockdep_core::ThreadLocks;

use crate::text::Lock;

/// Returns the list, every line ended by a line feed.
pub fn render(threads: &[ThreadLocks]) -> String {
    let mut out = String::new();
    write(&mut out, threads).expect("a string takes everything");
    out
}

fn write(out: &mut String, threads: &[ThreadLocks]) -> fmt::Result {
    writeln!(out, "\nShowing all locks held by all threads:")?;
    for ThreadLocks { thread, held, waits_for } in threads {
        let plural = if held.len() == 1 { "lock" } else { "locks" };
        writeln!(out, "{} {plural} held by {thread}:", held.len())?;
        for (depth, lock) in held.iter().enumerate() {
            writeln!(out, " #{depth}: {}", Lock(lock))?;
        }
        if let Some(lock) = waits_for {
            writeln!(out, " waits for: {}", Lock(lock))?;
        }
    }
    if threads.is_empty() {
        writeln!(out, "no locks held by any thread.")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use lockdep_core::{Acquisition, Mode};

    use super::*;

    #[test]
    fn who_holds_and_who_waits() {
        let lock = |class: &str| Acquisition {
            class: class.to_owned(),
            lock: None,
            mode: Mode::Exclusive,
            trylock: false,
            site: None,
            stack: Vec::new(),
        };
        let threads = [
            ThreadLocks { thread: "one".to_owned(), held: vec![lock("a")], waits_for: Some(lock("b")) },
            ThreadLocks { thread: "two".to_owned(), held: vec![lock("b"), lock("c")], waits_for: None },
        ];
        let expected = "
Showing all locks held by all threads:
1 lock held by one:
 #0: (a){exclusive}
 waits for: (b){exclusive}
2 locks held by two:
 #0: (b){exclusive}
 #1: (c){exclusive}
";
        assert_eq!(render(&threads), expected);
        assert!(render(&[]).contains("no locks held"));
    }
}
