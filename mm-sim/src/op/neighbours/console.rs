//! The console: whoever prints may have to write to a terminal, and a terminal needs memory now and then.
//!
//! Lock order: `console_owner -> port->lock` to print; `port->lock -> pcp->lock, zone->lock` for a buffer. So nothing may
//! be printed under the locks of the page allocator: R7, [`Bug::PrintsUnderZoneLock`].

use crate::{
    Bug,
    machine::Machine,
    mem::{FolioKind, local_node},
    sched,
};

/// Pages of a burst of input.
const BUFFERS: u32 = 32;

/// Prints a line.
#[inline(never)]
pub(crate) fn printk(m: &Machine) {
    let _scope = sched::scope("printk");
    let _owner = m.neighbours.console.owner.lock_irq();
    let _port = m.neighbours.console.port.lock_irq();
}

/// The terminal gets input and a buffer for it.
#[inline(never)]
pub(crate) fn tty_input(m: &Machine) {
    let _scope = sched::scope("tty_buffer_request_room");
    let _port = m.neighbours.console.port.lock_irq();
    // More than a processor keeps at hand.
    let buffers: Vec<_> =
        (0..BUFFERS).filter_map(|_| m.alloc_folio_nowait(local_node(), FolioKind::Anon, 1).ok()).collect();
    buffers.iter().for_each(|buffer| m.put_folio(buffer, 1));
}

/// Looks at the free pages of a range that is to go offline, and prints what it finds.
#[inline(never)]
pub(crate) fn test_pages_isolated(m: &Machine) {
    let _scope = sched::scope("test_pages_isolated");
    let prints_inside = m.protocol.has(Bug::PrintsUnderZoneLock);
    m.memory.under_zone_lock(|| {
        if prints_inside {
            printk(m);
        }
    });
    if !prints_inside {
        printk(m);
    }
}
