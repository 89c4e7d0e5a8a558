//! Memory for everybody: folios, page tables, and giving them back.
//!
//! Lock order of an allocation: everything that is held `-> fs_reclaim` (taken and dropped, for lockdep to know that the
//! allocation may have to wait for reclaim), and in direct reclaim `fs_reclaim -> what reclaim takes`; then
//! `pcp->lock -> zone->lock`.

use std::sync::Arc;

use super::{mmu_notifier, reclaim};
use crate::{
    finding::Invariant,
    machine::Machine,
    mem::{Folio, FolioKind, Level, OutOfMemory, PageTable, Vma, local_node},
    sched,
    sync::Look,
};

/// Rounds of direct reclaim before an allocation fails.
const RETRIES: u32 = 6;

impl Machine {
    /// Allocates a folio of zeros with one reference, on the nearest node.
    #[inline(never)]
    #[track_caller]
    pub(crate) fn alloc_folio(&self, kind: FolioKind, pages: u64) -> Result<Arc<Folio>, OutOfMemory> {
        self.alloc_folio_on(local_node(), kind, pages)
    }

    /// Allocates a folio of zeros with one reference, on a node.
    #[inline(never)]
    #[track_caller]
    pub(crate) fn alloc_folio_on(&self, node: u8, kind: FolioKind, pages: u64) -> Result<Arc<Folio>, OutOfMemory> {
        self.alloc_pages(pages)?;
        Ok(self.memory.make_folio(kind, pages, node))
    }

    /// Allocates a folio on a node, if that needs no reclaim.
    #[inline(never)]
    pub(crate) fn alloc_folio_nowait(&self, node: u8, kind: FolioKind, pages: u64) -> Result<Arc<Folio>, OutOfMemory> {
        if self.memory.take(pages) { Ok(self.memory.make_folio(kind, pages, node)) } else { Err(OutOfMemory) }
    }

    /// Allocates an empty page table.
    #[inline(never)]
    #[track_caller]
    pub(crate) fn alloc_table(&self, level: Level) -> Result<Arc<PageTable>, OutOfMemory> {
        self.alloc_pages(1)?;
        Ok(self.memory.make_table(level))
    }

    #[inline(never)]
    #[track_caller]
    pub(crate) fn alloc_pages(&self, pages: u64) -> Result<(), OutOfMemory> {
        if sched::is_atomic() {
            sched::finding(Invariant::SleepInAtomic, "an allocation may sleep under a spinning lock".to_owned());
        }
        self.might_reclaim();
        if self.memory.take(pages) {
            return Ok(());
        }
        if sched::in_reclaim() { Err(OutOfMemory) } else { self.alloc_pages_slowpath(pages) }
    }

    /// Tells lockdep that reclaim may have to be waited for here, whether it has or not.
    #[inline(never)]
    #[track_caller]
    pub(crate) fn might_reclaim(&self) {
        if !sched::in_reclaim() {
            self.fs_reclaim.acquire();
            // Reclaim unmaps, and who unmaps tells the others.
            self.mmu_notifier.acquire();
            self.mmu_notifier.release();
            self.fs_reclaim.release();
        }
    }

    #[inline(never)]
    fn alloc_pages_slowpath(&self, pages: u64) -> Result<(), OutOfMemory> {
        for _ in 0..RETRIES {
            reclaim::try_to_free_pages(self, pages);
            self.memory.drain_all_pages();
            if self.memory.take(pages) {
                return Ok(());
            }
        }
        Err(OutOfMemory)
    }

    /// Drops references to a folio, and frees it with the last one.
    pub(crate) fn put_folio(&self, folio: &Arc<Folio>, count: u64) {
        if folio.drop_refs(count) {
            self.free_folio(folio);
        }
    }

    /// Frees a folio without references.
    pub(crate) fn free_folio(&self, folio: &Folio) {
        if let Some((mm, page)) = self.tlb.stale(folio.pfn..folio.pfn + folio.pages()) {
            let text =
                format!("folio {} is freed, but a TLB leads to it from page {page:#x} of process {mm}", folio.pfn);
            sched::finding(Invariant::StaleTlb, text);
        }
        mmu_notifier::check_not_mapped(self, folio);
        if folio.kind == FolioKind::Hugetlb {
            folio.set_place(None);
            return self.hugetlb.enqueue(&self.memory, folio);
        }
        if folio.buffers().is_some() {
            sched::finding(Invariant::BuffersBroken, format!("folio {} is freed with its buffers", folio.pfn));
        }
        self.lru.forget(folio);
        self.split_queue.remove(folio);
        self.memcg.uncharge(folio);
        folio.set_place(None);
        self.memory.free_folio(folio);
    }

    /// Frees a table now. The caller has made sure that nobody walks it.
    pub(crate) fn free_table(&self, table: &PageTable) {
        self.memory.free_table(table, sched::path());
    }

    /// Frees a table once everybody who may walk it under RCU has finished.
    pub(crate) fn free_table_rcu(&self, table: Arc<PageTable>) {
        let (memory, by) = (self.memory.clone(), sched::path());
        if sched::forgets(Look::RcuGracePeriod) {
            return memory.free_table(&table, by);
        }
        self.rcu.call(move || memory.free_table(&table, by));
    }

    /// Frees a VMA that nobody finds any more: where there is a VMA lock, once everybody who may look at it under RCU has
    /// finished.
    pub(crate) fn free_vma(&self, vma: &Arc<Vma>) {
        let vma = vma.clone();
        if self.protocol.vma_lock {
            self.rcu.call(move || vma.free());
        } else {
            vma.free();
        }
    }
}
