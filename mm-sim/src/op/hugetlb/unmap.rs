//! Taking pages of hugetlbfs out of page tables: `munmap`, `exit`, `madvise(MADV_DONTNEED)`, and on behalf of the file.
//!
//! Lock order: `mmu_notifier_invalidate_range_start`, or under the next ones; `hugetlb vma_lock or resv_map->rw_sema (write) -> i_mmap_rwsem (write) -> pmd_lock`, then
//! `-> resv_map->lock` for a page that is promised again, and `-> hugetlb_lock` for another one instead of one that somebody
//! still has, and when the pages are freed.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use super::{
    reserve,
    share::{check_entry_locked, for_each_entry, widen},
};
use crate::{
    Bug,
    machine::Machine,
    mem::{Absent, Entry, Folio, FolioKind, HugetlbVmaGuard, Mm, PAGE_SIZE, PMD_SIZE, Place, Vma},
    op::{gather::Gather, mmu_notifier},
    protocol::HugetlbLocking,
    sched,
    sync::WriteGuard,
};

/// Which entries of a range are emptied.
#[derive(Clone, Copy)]
pub(crate) enum Wanted<'a> {
    All,
    /// The same, but user code that wants to be told of writes still does: a mark stays.
    Content,
    /// Those that map this folio; marks stay.
    Folio(&'a Folio),
    /// The same, and the mapping is not given another one: it was promised none.
    Rob(&'a Folio),
    /// The same, because it is broken: whoever comes later is to know that.
    Poison(&'a Folio),
}

impl Wanted<'_> {
    fn wants(self, folio: &Folio) -> bool {
        match self {
            Self::All | Self::Content => true,
            Self::Folio(only) | Self::Rob(only) | Self::Poison(only) => only.pfn == folio.pfn,
        }
    }
}

/// What keeps everybody else from the page tables of a VMA.
pub(crate) struct Locked {
    // Dropped in this order.
    i_mmap: Option<WriteGuard>,
    vma: HugetlbVmaGuard,
}

/// Locks the page tables of a VMA (`hugetlb_zap_begin`).
#[inline(never)]
pub(crate) fn lock_tables(m: &Machine, vma: &Arc<Vma>) -> Locked {
    let i_mmap = || vma.file.as_ref().map(|file| file.mapping.i_mmap_rwsem.write());
    if m.protocol.has(Bug::HugetlbZapReversed) {
        let i_mmap = i_mmap();
        return Locked { i_mmap, vma: vma.hugetlb_vma_lock_write(&m.protocol) };
    }
    let vma = vma.hugetlb_vma_lock_write(&m.protocol);
    Locked { i_mmap: i_mmap(), vma }
}

/// Empties the entries of a range of a VMA that ends: nobody will fault in it again, and it has no lock afterwards
/// (`unmap_hugepage_range_final`).
#[inline(never)]
pub(crate) fn zap_final(m: &Machine, mm: &Mm, vma: &Arc<Vma>, range: Range<u64>, gather: &mut Gather) {
    let _told = mmu_notifier::invalidate_range_start(m, mm, &widen(vma, range.clone()));
    let Locked { i_mmap, vma: lock } = lock_tables(m, vma);
    unmap_hugepage_range(m, mm, vma, range, Wanted::All, gather);
    lock.unlock_and_free();
    drop(i_mmap);
}

/// Gives up the pages of a part of a mapping (`MADV_DONTNEED`): only whole huge pages. The caller has the mmap lock.
#[inline(never)]
pub(crate) fn discard(m: &Machine, mm: &Mm, vma: &Arc<Vma>, part: &Range<u64>) {
    let part = part.start.next_multiple_of(PMD_SIZE)..part.end / PMD_SIZE * PMD_SIZE;
    if part.start < part.end {
        let pages = part.start / PAGE_SIZE..part.end / PAGE_SIZE;
        m.model.unsettle(mm.id, pages.clone());
        zap_page_range(m, mm, vma, part);
        m.model.blur(mm.id, pages.clone());
        m.model.settle(mm.id, pages);
    }
}

/// Empties the entries of a range; the mapping stays (`MADV_DONTNEED`).
#[inline(never)]
fn zap_page_range(m: &Machine, mm: &Mm, vma: &Arc<Vma>, range: Range<u64>) {
    let mut gather = Gather::default();
    if m.protocol.has(Bug::DontneedFreesHugetlbLock) {
        zap_final(m, mm, vma, widen(vma, range), &mut gather);
        return gather.finish(m);
    }
    let _locked = lock_tables(m, vma);
    let range = widen(vma, range);
    let _told = mmu_notifier::invalidate_range_start(m, mm, &range);
    unmap_hugepage_range(m, mm, vma, range, Wanted::Content, &mut gather);
    // What is promised again must be there again before anybody faults.
    gather.finish(m);
}

/// Empties entries of a range. The caller has locked the page tables.
#[inline(never)]
fn unmap_hugepage_range(
    m: &Machine,
    mm: &Mm,
    vma: &Arc<Vma>,
    range: Range<u64>,
    wanted: Wanted<'_>,
    gather: &mut Gather,
) {
    let _scope = sched::scope("unmap_hugepage_range");
    let range = range.start / PMD_SIZE * PMD_SIZE..range.end.next_multiple_of(PMD_SIZE);
    let mut promised_again = Vec::new();
    let unshared = for_each_entry(m, mm, vma, &range, &mut |slot, addr, entry| {
        let Some(folio) = entry.as_page().and_then(|pfn| m.memory.folio(pfn)) else {
            let is_mark = entry.as_absent() == Some(Absent::Marker);
            if matches!(wanted, Wanted::All) || matches!(wanted, Wanted::Content) && !is_mark {
                // What was broken is nobody's any more.
                slot.store(Entry::NONE);
            }
            return;
        };
        if !wanted.wants(&folio) {
            return;
        }
        check_entry_locked(slot);
        if matches!(wanted, Wanted::Rob(_)) {
            vma.hugetlb.was_robbed.store(true, Relaxed);
        }
        gather.take_hugetlb(mm, slot, addr, &folio);
        match wanted {
            Wanted::Poison(_) => {
                slot.store(Entry::hwpoison(folio.pfn));
            }
            Wanted::Content | Wanted::Folio(_) if entry.is_uffd_wp() => {
                slot.store(Entry::marker().uffd_wp(true));
            }
            _ => {}
        }
        if is_private(&folio) && m.protocol.hugetlb_locking == HugetlbLocking::EveryVma {
            promised_again.push((addr, folio));
        } else {
            gather.keep(folio);
        }
    });
    // Whoever has a shared table still may free its pages as soon as i_mmap is dropped.
    unshared.into_iter().for_each(|range| m.tlb.flush(mm.id, range.start / PAGE_SIZE..range.end / PAGE_SIZE));
    for (addr, folio) in promised_again {
        // The mapping is promised the page again: so nobody may get hold of it until the pool has it, and break it there.
        let is_frozen = gather.keep_frozen(&folio);
        reserve::restore_private(m, vma, reserve::index_of(vma, addr), &folio, is_frozen);
    }
}

/// The same for a caller who has looked for the mappings of a file, and flushes and frees at once.
#[inline(never)]
pub(crate) fn unmap_from_file(m: &Machine, mm: &Mm, vma: &Arc<Vma>, range: Range<u64>, wanted: Wanted<'_>) {
    let _told = mmu_notifier::invalidate_range_start(m, mm, &widen(vma, range.clone()));
    let mut gather = Gather::default();
    unmap_hugepage_range(m, mm, vma, range, wanted, &mut gather);
    gather.finish(m);
}

fn is_private(folio: &Folio) -> bool {
    folio.kind == FolioKind::Hugetlb && matches!(folio.place(), Some(Place::Anon(..)))
}

#[cfg(test)]
mod tests {
    use crate::{
        Advice, Huge, PMD_SIZE, Protocol,
        mem::HUGE_PAGES,
        run::{Setup, play},
        scenario::{Expect, Plan},
        world::{Process, World},
    };

    const POOL: u64 = 12;
    const ROUNDS: u64 = 6;
    const SEEDS: u64 = 60;

    /// A process gives up the one page of a private mapping, again and again, while `meddle` gets hold of it.
    fn give_up_and(world: &World, meddle: fn(&World, &Process, u64)) -> Plan {
        let mut plan = Plan::default();
        let Some(process) = plan.spawn(world) else { return plan };
        world.set_huge_pages(POOL);
        let Some(own) = process.map_huge(&world.create_huge(), 0, HUGE_PAGES, Huge::Private) else { return plan };
        let (kernel, other) = (world.clone(), process.clone());
        plan.actor("meddles", move || {
            for round in 0..4 * ROUNDS {
                kernel.compute(5 + round);
                meddle(&kernel, &other, own);
            }
        });
        plan.actor("gives-up", move || {
            for round in 0..ROUNDS {
                // It may have been broken before.
                let _may_be_broken = process.store(own, round);
                process.advise(own..own + PMD_SIZE, Advice::DontNeed);
            }
        });
        plan
    }

    fn give_up_and_break(world: &World) -> Plan {
        give_up_and(world, |kernel, process, own| {
            kernel.break_page(process, own);
        })
    }

    fn give_up_and_peek(world: &World) -> Plan {
        give_up_and(world, |_, process, own| {
            process.peek(own);
        })
    }

    fn give_up_and_pin(world: &World) -> Plan {
        give_up_and(world, |kernel, process, own| {
            let _pin = process.pin(own);
            kernel.compute(30);
        })
    }

    fn give_up_and_fork(world: &World) -> Plan {
        give_up_and(world, |_, process, _| process.fork().into_iter().for_each(Process::exit))
    }

    fn check(id: &'static str, build: fn(&World) -> Plan, expect_failures: bool) {
        let setup = Setup { id, memory: (POOL + 2) * HUGE_PAGES, build };
        for protocol in [Protocol::V6_1, Protocol::V6_6, Protocol::V6_12] {
            let mut failures = 0;
            for seed in 0..SEEDS {
                let outcome = play(&setup, protocol, Expect::Silent, seed);
                let findings = (&outcome.failure, &outcome.findings);
                assert!(outcome.is_expected, "{}, seed {seed}: {} {findings:?}", protocol.name, outcome.verdict);
                failures += outcome.stats.get("memory_failures").unwrap_or(&0);
            }
            assert!(!expect_failures || failures > SEEDS, "only {failures} pages have broken");
        }
    }

    /// Once a page is promised again it cannot break on its way to the pool, which would not take it.
    #[test]
    fn no_promise_is_lost_with_a_page_that_breaks_while_it_is_given_up() {
        check("give-up-and-break", give_up_and_break, true);
    }

    /// Whoever has the page for a moment does not keep its promise.
    #[test]
    fn no_promise_is_lost_with_a_page_that_somebody_else_has() {
        check("give-up-and-peek", give_up_and_peek, false);
        check("give-up-and-pin", give_up_and_pin, false);
        check("give-up-and-fork", give_up_and_fork, false);
    }
}
