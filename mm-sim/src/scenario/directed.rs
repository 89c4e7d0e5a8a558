//! Small scenarios, each for one race: little enough to explore their schedules one by one.

use super::{Expect, Plan, Scenario};
use crate::{
    PAGE_SIZE,
    mem::HUGE_PAGES,
    protocol::{FileFaults, Protocol, Retract},
    world::{File, Process, World},
};

/// The deadlock of the mail: khugepaged comes first, a page fault in between.
pub(super) const COLLAPSE: Scenario = Scenario {
    id: "small-collapse",
    title: "one collapse of a file against one page fault on it",
    story: "khugepaged has locked the new huge folio and frees the page tables above it. A page fault of the process that\n\
            has the table holds its VMA lock and waits for that folio.",
    source: "Jann Horn, 2023-01-17: \"might cause trouble later on\"",
    memory: 2000,
    default_protocol: Protocol::JAN_2023_FILE,
    expect: |protocol| match (protocol.retract, protocol.file_faults) {
        (Retract::BlockingVmaLock, FileFaults::VmaLock) => {
            Expect::CyclesThrough("vma->vm_lock", "mapping->i_mmap_rwsem")
        }
        _ => Expect::Silent,
    },
    build: |world| build_collapse(world, true),
};

/// The same, the other way around.
pub(super) const WALK: Scenario = Scenario {
    id: "small-walk",
    title: "one page fault on a file against one collapse of it",
    story: "A page fault is about to lock a page table; khugepaged frees it.",
    memory: 2000,
    build: |world| build_collapse(world, false),
    ..COLLAPSE
};

/// A fork against a page fault of the parent.
pub(super) const FORK: Scenario = Scenario {
    id: "small-fork",
    title: "one page fault of a parent against a fork",
    story: "A page fault has looked at the mark of a VMA, and a fork marks it before it is locked.",
    source: "the second look of vma_start_read",
    memory: 200,
    default_protocol: Protocol::V6_12,
    expect: |_| Expect::Silent,
    build: build_fork,
};

/// A truncation against a private copy.
pub(super) const COW: Scenario = Scenario {
    id: "small-cow",
    title: "one copy of a page of a file against its truncation",
    story: "A private mapping gets its copy of a page that has been unmapped and is being cut off.",
    source: "the second unmapping of truncate_pagecache",
    build: build_cow,
    ..FORK
};

/// A truncation against a fault that waits for the folio.
pub(super) const TRUNCATE: Scenario = Scenario {
    id: "small-truncate",
    title: "one page fault on a file against its truncation, and writeback",
    story: "A page fault has found a folio that writeback has locked; the file is cut and grown before it has the lock.",
    source: "the look of filemap_fault at a folio that it has locked",
    build: build_truncate,
    ..FORK
};

/// A truncation against a fault that has seen the old size.
pub(super) const MAPPED_LATE: Scenario = Scenario {
    id: "small-mapped-late",
    title: "one write fault on a file against its truncation, which finds the folio mapped again",
    story: "A page fault has locked a folio and looked at the size of the file. The file is cut and unmapped everywhere;\n\
            only then the fault maps the folio, and lets go of it. Who cuts the file has to unmap it once more.",
    source: "the look of truncate_cleanup_folio at a folio that it has locked",
    build: build_mapped_late,
    ..FORK
};

/// A write to a file that swap is on.
pub(super) const SWAP_FILE: Scenario = Scenario {
    id: "small-swap-file",
    title: "one write to a file against swap, which is turned on with it",
    story: "A page is swapped out to a file. Whoever wrote to the file now would write to that page.",
    source: "dc617f29dbe5, \"vfs: don't allow writes to swap files\"",
    build: build_swap_file,
    ..FORK
};

/// A block that is read against whoever wants its folio.
pub(super) const BUFFERS: Scenario = Scenario {
    id: "small-buffers",
    title: "one block that is read by its buffers against a migration, reclaim and a truncation",
    story: "The file system has found the buffers of a block, without the lock of its folio. Who moves the folio or frees it\n\
            must leave it, or its buffers, to him.",
    source: "the look of __buffer_migrate_folio and drop_buffers at the counts of buffers",
    build: build_buffers,
    ..FORK
};

/// A hole against a migration.
pub(super) const MOVED_HOLE: Scenario = Scenario {
    id: "small-moved-hole",
    title: "one page of a file that moves against a hole that is punched there",
    story: "The folio of a page is frozen while its words move to another one. Who punches the hole finds nothing that he could\n\
            take out, and has to look again: what is in its place then holds the old words.",
    source: "the second look of find_get_entry at a folio that has no references",
    build: |world| {
        build_moved(world, false, |world, file| {
            world.punch_hole(file, 0..1);
        })
    },
    ..FORK
};

/// A truncation against a migration.
pub(super) const MOVED_CUT: Scenario = Scenario {
    id: "small-moved-cut",
    title: "one page of a file that moves against a truncation",
    story: "The same with a truncation: what has moved is beyond the end then.",
    build: |world| {
        build_moved(world, false, |world, file| {
            world.truncate(file, 0);
        })
    },
    ..MOVED_HOLE
};

/// Writeback against a migration.
pub(super) const MOVED_DIRTY: Scenario = Scenario {
    id: "small-moved-dirty",
    title: "one dirty page of a file that moves against writeback",
    story: "The same with writeback: what has moved is as dirty as it was.",
    build: |world| build_moved(world, true, World::writeback),
    ..MOVED_HOLE
};

fn build_collapse(world: &World, khugepaged_first: bool) -> Plan {
    let mut plan = Plan::default();
    let file = world.create(HUGE_PAGES);
    let Some(process) = mapped(world, &mut plan) else { return plan };
    let code = process.map_file(&file, 0, HUGE_PAGES, true);
    let _checked = process.touch(code, 1);
    let fault = move |plan: &mut Plan| {
        plan.actor("file-fault", move || {
            let _checked = process.load(code + 40 * PAGE_SIZE);
        });
    };
    let kernel = world.clone();
    let collapse = move |plan: &mut Plan| {
        plan.actor("khugepaged", move || {
            let _collapsed = kernel.collapse(&file, 0);
        });
    };
    if khugepaged_first {
        collapse(&mut plan);
        fault(&mut plan);
    } else {
        fault(&mut plan);
        collapse(&mut plan);
    }
    plan
}

fn build_fork(world: &World) -> Plan {
    let mut plan = Plan::default();
    let Some(process) = mapped(world, &mut plan) else { return plan };
    let heap = process.map_anon(4);
    let _checked = process.store(heap, 1);
    let parent = process.clone();
    plan.actor("page-fault", move || {
        let _checked = process.store(heap + PAGE_SIZE, 2);
    });
    plan.actor("fork", move || {
        if let Some(child) = parent.fork() {
            child.exit();
        }
    });
    plan
}

fn build_cow(world: &World) -> Plan {
    let mut plan = Plan::default();
    let file = world.create(4);
    let Some(process) = mapped(world, &mut plan) else { return plan };
    let copy = process.map_file(&file, 0, 4, false);
    let (kernel, reader) = (world.clone(), process.clone());
    plan.actor("page-fault", move || {
        let _checked = process.store(copy + PAGE_SIZE, 7);
    });
    plan.actor("truncate", move || {
        kernel.truncate(&file, 0);
        // The end of the file, or the model is not content.
        let _checked = reader.load(copy + PAGE_SIZE);
    });
    plan
}

fn build_truncate(world: &World) -> Plan {
    let mut plan = Plan::default();
    let file = world.create(1);
    let (Some(writer), Some(reader)) = (mapped(world, &mut plan), mapped(world, &mut plan)) else { return plan };
    let text = writer.map_file(&file, 0, 1, true);
    let _checked = writer.store(text, 5);
    let same = reader.map_file(&file, 0, 1, true);
    let (kernel, cache) = (world.clone(), file.clone());
    plan.actor("writeback", move || kernel.writeback(&cache));
    plan.actor("page-fault", move || {
        let _checked = reader.load(same);
    });
    let kernel = world.clone();
    plan.actor("truncate", move || {
        kernel.truncate(&file, 0);
        kernel.truncate(&file, 1);
    });
    plan
}

fn build_mapped_late(world: &World) -> Plan {
    let mut plan = Plan::default();
    let file = world.create(2);
    let (Some(writer), Some(other)) = (mapped(world, &mut plan), mapped(world, &mut plan)) else { return plan };
    let (text, same) = (writer.map_file(&file, 0, 2, true), other.map_file(&file, 0, 2, true));
    // One of the two has it in its page table, which is unmapped at first.
    let _checked = other.store(same, 5);
    let (kernel, late) = (world.clone(), writer.clone());
    plan.actor("page-fault", move || {
        let _checked = late.store(text, 6);
    });
    plan.actor("truncate", move || {
        kernel.truncate(&file, 0);
        // The end of the file for both, or the model is not content.
        let _checked = (writer.load(text), other.load(same));
    });
    plan
}

fn build_swap_file(world: &World) -> Plan {
    let mut plan = Plan::default();
    let file = world.create(2);
    let (Some(process), Some(writer)) = (mapped(world, &mut plan), mapped(world, &mut plan)) else { return plan };
    let heap = process.map_anon(1);
    let _checked = process.store(heap, 5);
    let (kernel, same) = (world.clone(), file.clone());
    plan.actor("swap", move || {
        kernel.swapon_file(&same);
        let _unmapped = (0..4).filter(|_| kernel.reclaim(8)).count();
        let _checked = process.load(heap);
    });
    let kernel = world.clone();
    let word = writer.map_anon(1);
    let _checked = writer.store(word, 6);
    plan.actor("write", move || {
        let _checked = writer.write(&file, 1, word);
        kernel.writeback(&file);
    });
    plan
}

fn build_buffers(world: &World) -> Plan {
    let mut plan = Plan::default();
    let file = world.create(2);
    let Some(process) = mapped(world, &mut plan) else { return plan };
    let text = process.map_file(&file, 0, 2, true);
    let _checked = process.store(text, 5);
    let (kernel, same) = (world.clone(), file.clone());
    plan.actor("journal", move || {
        let _words = [kernel.read_block(&same, 0), kernel.read_block(&same, 0)];
    });
    let kernel = world.clone();
    plan.actor("mover", move || {
        process.move_pages(text..text + PAGE_SIZE);
        kernel.writeback(&file);
        let _unmapped = (0..3).filter(|_| kernel.reclaim(8)).count();
        let _checked = process.store(text, 6);
        kernel.truncate(&file, 0);
    });
    plan
}

fn build_moved(world: &World, mover_last: bool, what: fn(&World, &File)) -> Plan {
    let mut plan = Plan::default();
    let file = world.create(1);
    let Some(process) = mapped(world, &mut plan) else { return plan };
    let text = process.map_file(&file, 0, 1, true);
    let _checked = process.store(text, 5);
    let (kernel, reader) = (world.clone(), process.clone());
    plan.actor("mover", move || {
        process.move_pages(text..text + PAGE_SIZE);
    });
    plan.actor("walker", move || {
        what(&kernel, &file);
        let _checked = reader.load(text);
    });
    if mover_last {
        plan.actors.reverse();
    }
    plan
}

/// A process that is ended with the others.
fn mapped(world: &World, plan: &mut Plan) -> Option<Process> {
    let process = world.spawn()?;
    plan.processes.push(process.clone());
    Some(process)
}
