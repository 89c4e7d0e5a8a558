//! `execve`: a process becomes another program, in an address space of its own.
//!
//! The arguments go to a stack that is made before anybody knows where it belongs. Lock order: `mmap_lock (write)` to make it;
//! `mmap_lock (read)` and a page fault for each page of arguments; `mmap_lock (read)` of the old address space to give that up
//! (`exec_mmap`); and in `shift_arg_pages` `mmap_lock (write) -> vma_lock (mark) -> anon_vma->rwsem (write)` to let the VMA
//! cover the new place too, `-> fs_reclaim` for its tables, `-> mmu_notifier_invalidate_range_start`, `-> pte_lock -> pte_lock
//! (nested)` to move the pages, and `-> anon_vma->rwsem (write)` once more to leave the old place.
//!
//! In between the reverse map leads to where the pages will be, and they are not there yet, and no rmap lock is held. Who
//! takes a page out of the page tables for good may miss it and gives up; who moves it would never put it back. So migration
//! leaves such a stack alone (a8bef8ff6ea1).

use std::{ops::Range, sync::Arc};

use super::{
    Signal, exit, fork,
    gather::Gather,
    gup::{self, Foll},
    mmap::{self, Request},
    move_page_tables::move_page_tables,
    pgtables,
    vma::vma_prepare,
};
use crate::{
    machine::Machine,
    mem::{Mm, OutOfMemory, PAGE_SIZE, VmFlags, Vma},
    sched,
};

/// Where the stack ends at first: a few pages above a 2 MiB border, so that it has two tables.
const TEMPORARY_END: u64 = 0x7f00_0200_0000 + 4 * PAGE_SIZE;

/// Makes an address space with a stack that begins with `arguments`, a page each, `shift` pages below where it was put first,
/// and ends the old one. Returns it with the address of the stack; `None` without memory, and the old one is ended too.
#[inline(never)]
pub(crate) fn execve(m: &Machine, old: &Arc<Mm>, arguments: &[u64], shift: u64) -> Option<(Arc<Mm>, u64)> {
    let _scope = sched::scope("execve");
    let new = fork::new_mm(m).ok();
    let filled = new.filter(|new| {
        let stack = bprm_mm_init(m, new, arguments.len() as u64);
        let copied = copy_strings(m, new, stack, arguments);
        copied.inspect_err(|_| exit::exit_mmap(m, new)).is_ok()
    });
    exec_mmap(m, old);
    let new = filled?;
    let Ok(stack) = setup_arg_pages(m, &new, shift * PAGE_SIZE) else {
        exit::exit_mmap(m, &new);
        return None;
    };
    m.stats.execs.add(1);
    Some((new, stack))
}

/// Makes the stack where it stays for a while. Returns its first address.
#[inline(never)]
fn bprm_mm_init(m: &Machine, mm: &Arc<Mm>, pages: u64) -> u64 {
    let start = TEMPORARY_END - pages * PAGE_SIZE;
    let flags = VmFlags { growsdown: true, temporary_stack: true, ..VmFlags::READ_WRITE };
    let _mmap = mm.mmap_write_lock();
    mmap::do_mmap(m, mm, start, Request { addr: Some(start), pages, flags, file: None });
    start
}

/// Writes the arguments into pages of the new address space.
#[inline(never)]
fn copy_strings(m: &Machine, mm: &Arc<Mm>, stack: u64, arguments: &[u64]) -> Result<(), Signal> {
    for (&word, page) in arguments.iter().zip(0..) {
        let addr = stack + page * PAGE_SIZE;
        // It may be on its way to the swap device by the time it is written to: then it comes back first.
        let mut is_written = false;
        while !is_written {
            let user_page = gup::get_user_page(m, mm, addr, Foll { write: true, pin: false })?;
            is_written = gup::write_behind(m, mm, addr, &user_page, word);
            gup::put_user_page(m, user_page);
        }
    }
    Ok(())
}

/// Gives the old address space up. Whoever reads it under its mmap lock has finished by then.
#[inline(never)]
fn exec_mmap(m: &Machine, old: &Arc<Mm>) {
    drop(old.mmap_lock.read());
    exit::exit_mmap(m, old);
}

/// Moves the stack to where it belongs. Returns its first address.
#[inline(never)]
fn setup_arg_pages(m: &Machine, mm: &Arc<Mm>, shift: u64) -> Result<u64, OutOfMemory> {
    let _mmap = mm.mmap_write_lock();
    let vma = mm.find(TEMPORARY_END - PAGE_SIZE).ok_or(OutOfMemory)?;
    vma.vma_start_write(mm);
    shift_arg_pages(m, mm, &vma, shift)?;
    vma.set_flags(VmFlags { temporary_stack: false, ..vma.flags() });
    Ok(vma.range().start)
}

/// Moves a VMA and its pages down. The two places may overlap.
#[inline(never)]
fn shift_arg_pages(m: &Machine, mm: &Arc<Mm>, vma: &Arc<Vma>, shift: u64) -> Result<(), OutOfMemory> {
    let _scope = sched::scope("shift_arg_pages");
    let old = vma.range();
    let new = old.start - shift..old.end - shift;
    set_borders(mm, vma, new.start..old.end);
    move_page_tables(m, mm, (vma, old.clone()), (vma, new.start), false)?;
    m.lru.add_drain();
    m.model.relocate(mm.id, old.start / PAGE_SIZE..old.end / PAGE_SIZE, new.start / PAGE_SIZE, false);
    set_borders(mm, vma, new.clone());
    let left = new.end.max(old.start)..old.end;
    let mut gather = Gather::default();
    pgtables::free_pgtables(m, mm, &[], left.clone(), &mm.gap_around(&left), &mut gather);
    gather.finish(m);
    Ok(())
}

/// Lets a VMA begin and end elsewhere; its pages keep their offsets (`vma_expand` and `vma_shrink`).
#[inline(never)]
fn set_borders(mm: &Mm, vma: &Arc<Vma>, range: Range<u64>) {
    let prepared = vma_prepare(vma, None);
    mm.remove(vma);
    vma.set_range(range, vma.pgoffs().start);
    mm.insert(vma);
    prepared.complete();
}
