//! A tour of private mappings of files: what a process has written to is its own, the rest is the file's.
//!
//! Such a mapping has both locks of the reverse map, and its pages may be in the page cache, in memory of the process or on the
//! swap device, under one page table.

use super::{Expect, Plan, Scenario, checked, pages};
use crate::{
    Advice, Huge, PAGE_SIZE, PMD_SIZE, PUD_SIZE,
    mem::HUGE_PAGES,
    protocol::{FileFaults, Protocol, Retract},
    world::{File, Process, World},
};

/// Pages of the file that stays small.
const PAGES: u64 = 24;
/// What the mapping of the large file has: a part that is collapsed, one that is huge already, and one with copies.
const PARTS: u64 = 3;

/// Private mappings of files.
pub(in crate::scenario) const TOUR: Scenario = Scenario {
    id: "tour-copies",
    title: "private mappings of files, with copies: cut, moved, inherited, collapsed around, and known to a guest",
    story: "A process maps files privately and writes to some pages. Parts without copies become huge pages; what is swapped\n\
            out is cut off; tables move as a whole; a child inherits all of it; a guest takes all locks at once.",
    source: "the simulator's own tour",
    memory: 9000,
    default_protocol: Protocol::V6_12,
    expect,
    build,
};

/// Up to 6.5 `collapse_pte_mapped_thp` write-locks the VMA under the lock of a folio. That went well because no page fault on a
/// file held the VMA lock yet.
fn expect(protocol: &Protocol) -> Expect {
    let marks_under_folio_lock = protocol.vma_lock && protocol.retract != Retract::PageTableLocks;
    if marks_under_folio_lock && protocol.file_faults == FileFaults::VmaLock {
        return Expect::CyclesThrough("vma->vm_lock", "folio_lock(file)");
    }
    match protocol.waits_under_imap() {
        true => Expect::CyclesThrough("vma->vm_lock", "mapping->i_mmap_rwsem"),
        false => Expect::Silent,
    }
}

fn build(world: &World) -> Plan {
    let mut plan = Plan::default();
    world.prime_dma_resv();
    world.swapon(64);
    world.set_huge_pages(2);
    let (library, data) = (world.create(PARTS * HUGE_PAGES), world.create(PAGES));
    let Some(process) = plan.spawn(world) else { return plan };
    let kernel = world.clone();
    plan.actor("copies", move || {
        let (text, copy) = map(&process, &library, &data);
        let shared = process.map_file(&library, 0, HUGE_PAGES, true);
        checked(process.touch(shared, 4));
        for round in 0..2 {
            collapse_around_copies(&kernel, &process, &library, text, round);
            inherit(&process, copy, round);
            cut_while_swapped_out(&kernel, &process, &data, round);
            be_a_guest(&kernel, &process, copy);
        }
        // Far away, where other tables of the level above lead.
        let last = text + 2 * PMD_SIZE..text + 3 * PMD_SIZE;
        if let Some(moved) = process.remap_to(last.clone(), last.start + PUD_SIZE) {
            checked(process.load(moved + PAGE_SIZE));
            checked(process.load(moved + 2 * PAGE_SIZE));
        }
    });
    let kernel = world.clone();
    plan.actor("kswapd", move || {
        for _ in 0..6 {
            kernel.reclaim(16);
            kernel.compute(400);
        }
    });
    plan
}

/// Maps both files privately, and makes a copy of a page of each.
fn map(process: &Process, library: &File, data: &File) -> (u64, u64) {
    let text = process.map_file(library, 0, PARTS * HUGE_PAGES, false);
    let copy = process.map_file(data, 0, PAGES, false);
    checked(process.store(text + 2 * PMD_SIZE + PAGE_SIZE, 1));
    checked(process.store(copy, 2));
    (text, copy)
}

/// The first part becomes a huge page. The second is one, in the page cache; the process still maps it page by page, for
/// copies elsewhere in the mapping keep its table in place.
fn collapse_around_copies(kernel: &World, process: &Process, library: &File, text: u64, round: u64) {
    let touch = || {
        for part in 0..2 {
            (0..4).for_each(|page| checked(process.load(text + part * PMD_SIZE + page * PAGE_SIZE)));
        }
    };
    touch();
    let _collapsed = (0..4).any(|_| kernel.collapse(library, HUGE_PAGES));
    touch();
    process.advise(text..text + 2 * PMD_SIZE, Advice::Collapse);
    touch();
    checked(process.store(text + 2 * PMD_SIZE + (2 + round) * PAGE_SIZE, round));
}

/// A child of a process that both KSM and khugepaged know.
fn inherit(process: &Process, copy: u64, round: u64) {
    let heap = process.map_anon(HUGE_PAGES);
    process.advise(heap..heap + PMD_SIZE, Advice::HugePage);
    process.set_mergeable(heap..heap + PMD_SIZE, true);
    checked(process.store(heap, round));
    if let Some(child) = process.fork() {
        checked(child.load(copy));
        checked(child.store(copy + PAGE_SIZE, 3));
        checked(process.store(copy, 4));
        child.exit();
    }
    process.unmap(heap..heap + PMD_SIZE);
}

/// Cuts the middle out of a mapping whose copies are on the swap device.
fn cut_while_swapped_out(kernel: &World, process: &Process, data: &File, round: u64) {
    let copy = process.map_file(data, 0, PAGES, false);
    (0..PAGES).step_by(2).for_each(|page| checked(process.store(copy + page * PAGE_SIZE, round << 8 | page)));
    for _ in 0..5 {
        kernel.reclaim(64);
        kernel.flush();
    }
    process.unmap(pages(copy, 8, 6));
    (0..8).for_each(|page| checked(process.load(copy + page * PAGE_SIZE)));
    process.unmap(pages(copy, 0, PAGES));
}

/// A guest on memory of every sort.
fn be_a_guest(kernel: &World, process: &Process, copy: u64) {
    let file = kernel.create_huge();
    let huge = process.map_huge(&file, 0, HUGE_PAGES, Huge::Shared);
    let heap = process.map_anon(2);
    checked(process.store(heap, 1));
    let guest = process.create_guest();
    checked(guest.load(copy));
    checked(guest.store(heap, 2));
    guest.stop();
    checked(process.store(heap + PAGE_SIZE, 3));
    process.unmap(pages(heap, 0, 2));
    huge.into_iter().for_each(|huge| process.unmap(huge..huge + PMD_SIZE));
}
