//! The hardware cannot give user code what it asks for: the frame has failed (`do_machine_check`, `kill_me_maybe`).
//!
//! Lock order: none of its own. User code holds nothing, and memory failure is told on behalf of the process
//! (`MF_ACTION_REQUIRED`), as the kernel does it once it is about to return to user code. What the kernel itself copies from and
//! to user memory is left out: there the copy fails, and the rest comes later.

use std::sync::Arc;

use super::{
    Signal,
    memory_failure::{Handled, memory_failure},
    oom,
};
use crate::{machine::Machine, mem::Mm, sched};

/// Handles the access of a process to a frame that has failed. Without a signal the access is tried again: the page table says
/// by now what has become of the page.
#[inline(never)]
pub(crate) fn do_machine_check(m: &Machine, mm: &Arc<Mm>, pfn: u64, store: bool) -> Result<(), Signal> {
    let _scope = sched::scope("do_machine_check");
    m.stats.machine_checks.add(1);
    match memory_failure(m, pfn, Some((mm, store))) {
        Handled::Told => Err(Signal::Bus),
        // That of a clean page of a file has been dropped, and is read again. Up to 6.14 a process that came second was
        // killed for it.
        Handled::Recovered | Handled::Already | Handled::Free => Ok(()),
        Handled::Ignored => {
            // The process cannot go on.
            oom::kill(mm);
            Err(Signal::Kill)
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        Huge, PAGE_SIZE, Protocol, Signal,
        mem::HUGE_PAGES,
        op::memory_failure::{Handled, memory_failure},
        run::{Setup, play},
        scenario::{Expect, Plan},
        world::World,
    };

    fn fail_and_use(world: &World) -> Plan {
        let mut plan = Plan::default();
        let (Some(first), Some(second)) = (plan.spawn(world), plan.spawn(world)) else { return plan };
        let kernel = world.clone();
        plan.actor("observer", move || {
            kernel.set_huge_pages(2);
            let (file, huge) = (kernel.create(2), kernel.create_huge());
            let heap = first.map_anon(1);
            let text = first.map_file(&file, 0, 2, true);
            let big = first.map_huge(&huge, 0, HUGE_PAGES, Huge::Shared).unwrap();
            for (addr, is_lost) in [(heap, true), (text, true), (text + PAGE_SIZE, false), (big, true)] {
                if is_lost {
                    first.store(addr, 7).unwrap();
                } else {
                    first.load(addr).unwrap();
                }
                let pfn = crate::op::gup::frame_of(&kernel.machine, &first.mm, addr).unwrap();
                assert!(kernel.fail_page(&first, addr));
                let expected = if is_lost { Err(Signal::Bus) } else { Ok(0) };
                assert_eq!(first.load(addr), expected);
                // Somebody had accessed the frame before it was handled, and comes second.
                let told =
                    |process: &crate::world::Process| memory_failure(&kernel.machine, pfn, Some((&process.mm, false)));
                assert_eq!(told(&first), if is_lost { Handled::Told } else { Handled::Already });
                assert_eq!(told(&second), Handled::Already, "it has no such page");
                assert_eq!(memory_failure(&kernel.machine, pfn, None), Handled::Already);
            }
        });
        plan
    }

    #[test]
    fn a_failed_frame_is_handled_once_and_everybody_who_comes_upon_it_is_told() {
        for protocol in [Protocol::V6_1, Protocol::V6_12] {
            let setup = Setup { id: "fail-and-use", memory: 4 * HUGE_PAGES, build: fail_and_use };
            let outcome = play(&setup, protocol, Expect::Silent, 1);
            assert!(outcome.is_expected, "{}: {:?} {:?}", outcome.verdict, outcome.failure, outcome.findings);
            assert_eq!(outcome.stats["machine_checks"], 4);
            assert_eq!(outcome.stats["told_later"], 3);
        }
    }
}
