//! Actors that many pairs need.

use crate::{
    PAGE_SIZE,
    mem::HUGE_PAGES,
    op::Signal,
    scenario::Plan,
    world::{File, Process, World},
};

/// Rounds after which kswapd gives up unmapping anything.
const RECLAIM_ROUNDS: u32 = 200;
/// Times that khugepaged comes back to a range in which somebody used a page.
const COLLAPSE_ATTEMPTS: u32 = 50;

/// A signal or a value that the model has found right.
pub(super) fn ignore<T>(_checked: Result<T, Signal>) {}

/// A process that is ended when the actors are done.
pub(super) fn process(world: &World, plan: &mut Plan) -> Process {
    let process = world.spawn().expect("the stage is set before memory is short");
    plan.processes.push(process.clone());
    process
}

/// A process that has `pages` pages of a file mapped and in its page tables.
pub(super) fn sleeper(world: &World, file: &File, pages: u64, plan: &mut Plan) -> (Process, u64) {
    let process = process(world, plan);
    let addr = process.map_file(file, 0, pages, true);
    ignore(process.touch(addr, pages.min(32)));
    (process, addr)
}

/// Touches anonymous memory, page by page: from the second page on the faults run under the VMA lock.
pub(super) fn toucher(world: &World, pages: u64, plan: &mut Plan) {
    let process = process(world, plan);
    let heap = process.map_anon(pages);
    ignore(process.store(heap, 1));
    plan.actor("page-fault", move || {
        (1..pages).for_each(|page| ignore(process.store(heap + page * PAGE_SIZE, page)));
    });
}

/// Reclaims until it has unmapped a page.
pub(super) fn kswapd(world: &World, plan: &mut Plan) {
    let kernel = world.clone();
    plan.actor("kswapd", move || {
        // Pages that nobody has mapped go first, and pages in use get a second chance.
        let _unmapped = (0..RECLAIM_ROUNDS).any(|_| kernel.reclaim(16));
    });
}

/// Collapses the first 512 pages of a file.
pub(super) fn khugepaged(world: &World, file: &File, plan: &mut Plan) {
    let (kernel, file) = (world.clone(), file.clone());
    plan.actor("khugepaged", move || {
        let _collapsed = (0..COLLAPSE_ATTEMPTS).any(|_| kernel.collapse(&file, 0));
    });
}

/// A file that one huge folio can hold, and a process that has it mapped.
pub(super) fn library(world: &World, plan: &mut Plan) -> File {
    let library = world.create(HUGE_PAGES);
    sleeper(world, &library, HUGE_PAGES, plan);
    library
}
