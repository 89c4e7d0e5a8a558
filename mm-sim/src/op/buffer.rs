//! Buffers of the folios of a file: made before a page is written, found by the number of a block, freed when the folio goes.
//!
//! Lock order: `folio_lock -> mapping->private_lock` to make and to free them, and to see whether they may be moved;
//! `private_lock` alone to find a block, whose folio is not locked. (Up to 6.15 a migration kept `private_lock` until the
//! folio had moved, `-> i_pages`; the mark that lets go of it sooner is in the stable kernels too.)
//!
//! A folio that is cut off while somebody uses its buffers is kept by them until he does not. The kernel leaves such a
//! folio to reclaim.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use crate::{
    finding::Invariant,
    machine::Machine,
    mem::{AddressSpace, Buffers, Folio, FolioKind, Inode},
    sched,
};

/// Steps for which a block is in use.
const STEPS_OF_USE: u32 = 6;

/// Gives a locked folio of a file buffers (`create_empty_buffers`). Huge folios have none, nor has memory that is no block device.
#[inline(never)]
pub(crate) fn create_empty_buffers(file: &Inode, folio: &Folio) {
    let has_blocks = folio.kind == FolioKind::File && !folio.is_huge() && !file.is_dax.load(Relaxed);
    if has_blocks && folio.buffer_refs() == 0 {
        let _private_lock = file.mapping.private_lock.lock();
        folio.attach_buffers(&file.mapping.private_lock);
    }
}

/// Frees the buffers of a locked folio of a file, unless somebody uses them or they have to be written. Returns whether it has
/// none (`try_to_free_buffers`).
#[inline(never)]
pub(crate) fn try_to_free_buffers(m: &Machine, mapping: &AddressSpace, folio: &Arc<Folio>) -> bool {
    let Some(buffers) = folio.buffers() else { return true };
    folio.check_locked("robbed of its buffers");
    {
        let _private_lock = mapping.private_lock.lock();
        if buffers.is_dirty() || !buffers.may_go() {
            return false;
        }
        folio.detach_buffers(Some(&mapping.private_lock));
    }
    m.put_folio(folio, 1);
    true
}

/// Nothing of a locked folio will be written any more: it leaves its file (`block_invalidate_folio`).
#[inline(never)]
pub(crate) fn block_invalidate_folio(m: &Machine, mapping: &AddressSpace, folio: &Arc<Folio>) {
    if let Some(buffers) = folio.buffers() {
        buffers.set_dirty(false);
        try_to_free_buffers(m, mapping, folio);
    }
}

/// Frees what buffers a folio has that has left its file, unless somebody uses them.
pub(crate) fn free_orphan(m: &Machine, folio: &Arc<Folio>) {
    if folio.place().is_none() && folio.buffers().is_some_and(|buffers| !buffers.is_busy()) {
        folio.detach_buffers(None);
        m.put_folio(folio, 1);
    }
}

/// Looks whether nobody uses the buffers of a locked folio, and if so lets nobody begin to while it is moved.
#[inline(never)]
pub(crate) fn begin_move(mapping: &AddressSpace, buffers: &Buffers) -> bool {
    let _private_lock = mapping.private_lock.lock();
    buffers.begin_move(&mapping.private_lock)
}

/// A block that somebody uses.
struct Block {
    folio: Arc<Folio>,
    buffers: Arc<Buffers>,
}

/// Finds the buffers of a block, without locking its folio. `None` if there are none, or the folio is being moved
/// (`__find_get_block`).
#[inline(never)]
fn find_get_block(m: &Machine, file: &Inode, index: u64) -> Option<Block> {
    let folio = file.mapping.get(index)?;
    let found = {
        let _private_lock = file.mapping.private_lock.lock();
        folio.buffers().filter(|buffers| folio.is_in(&file.mapping) && buffers.get(&file.mapping.private_lock))
    };
    // The buffers keep the folio.
    let block = found.map(|buffers| Block { folio: folio.clone(), buffers });
    m.put_folio(&folio, 1);
    block
}

/// Reads a block of a file past its page cache, as file systems read what they keep of themselves. `None` if it has no buffers.
#[inline(never)]
pub(crate) fn read_block(m: &Machine, file: &Inode, index: u64) -> Option<u64> {
    let _scope = sched::scope("read_block");
    let block = find_get_block(m, file, index)?;
    (0..STEPS_OF_USE).for_each(|_| sched::step());
    if block.buffers.pfn() != block.folio.pfn {
        let text = format!("block {index} of file {} has left folio {} while it is in use", file.id, block.folio.pfn);
        sched::finding(Invariant::BuffersBroken, text);
    }
    let word = block.folio.read(block.folio.pfn);
    if block.folio.is_in(&file.mapping)
        && let Err(text) = m.model.check_file(file.id, index, word)
    {
        sched::finding(Invariant::WrongRead, text);
    }
    m.stats.blocks_read.add(1);
    if block.buffers.put() {
        free_orphan(m, &block.folio);
    }
    Some(word)
}
