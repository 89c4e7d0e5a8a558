//! Walking page tables and making them.
//!
//! Upper levels are filled under the mm's page_table_lock, the entry of a PTE table under the pmd lock, a PTE under the
//! lock of its table. Since 6.5 whoever maps a PTE table does so under RCU and looks again at the entry that led to it
//! once it has the lock, because the table may be gone; before, nobody looked.

use std::{ops::Range, sync::Arc};

use crate::{
    finding::Invariant,
    machine::Machine,
    mem::{Entry, Level, Mm, OutOfMemory, PAGE_SIZE, PMD_SIZE, PageTable, Slot, Vma},
    sched,
    sync::{Look, RcuGuard, SpinGuard},
};

/// A PTE table, mapped and locked.
#[must_use]
pub(crate) struct PteMap<'a> {
    pub(crate) table: Arc<PageTable>,
    _ptl: SpinGuard,
    _rcu: Option<RcuGuard<'a>>,
}

impl PteMap<'_> {
    pub(crate) fn slot(&self, addr: u64) -> Slot {
        sched::must_hold(self.table.lock.is_mine(), || format!("pte table {} is used without its lock", self.table.id));
        Slot::new(self.table.clone(), addr)
    }
}

impl Mm {
    /// Returns the entry for `addr` at `level`, or `None` where no table leads there.
    pub(crate) fn slot(&self, m: &Machine, addr: u64, level: Level) -> Option<Slot> {
        let mut slot = Slot::new(self.pgd.clone(), addr);
        while slot.table.level > level {
            let id = slot.load().as_table()?;
            sched::step();
            slot = Slot::new(m.memory.table(id)?, addr);
        }
        Some(slot)
    }

    /// As [`slot`](Self::slot), in one go: what the hardware does.
    pub(crate) fn hardware_slot(&self, m: &Machine, addr: u64) -> Option<Slot> {
        let mut slot = Slot::new(self.pgd.clone(), addr);
        while slot.table.level > Level::Pte {
            let entry = slot.load();
            if entry.is_page() {
                return Some(slot);
            }
            slot = Slot::new(m.memory.table(entry.as_table()?)?, addr);
        }
        Some(slot)
    }

    /// Returns the PMD entry for `addr`, making the tables above it.
    #[inline(never)]
    pub(crate) fn pmd_alloc(&self, m: &Machine, addr: u64) -> Result<Slot, OutOfMemory> {
        self.alloc_down(m, addr, Level::Pmd)
    }

    /// Returns the entry for `addr` that leads to a PMD table, making the tables above it.
    #[inline(never)]
    pub(crate) fn pud_alloc(&self, m: &Machine, addr: u64) -> Result<Slot, OutOfMemory> {
        self.alloc_down(m, addr, Level::Pud)
    }

    #[inline(always)]
    fn alloc_down(&self, m: &Machine, addr: u64, last: Level) -> Result<Slot, OutOfMemory> {
        let mut slot = Slot::new(self.pgd.clone(), addr);
        for level in [Level::Pud, Level::Pmd].into_iter().filter(|&level| level >= last) {
            if slot.load().is_none() {
                let new = m.alloc_table(level)?;
                let _page_table_lock = self.page_table_lock.lock();
                self.fill(m, &slot, new);
            }
            let id = slot.load().as_table().ok_or(OutOfMemory)?;
            slot = Slot::new(m.memory.table(id).ok_or(OutOfMemory)?, addr);
        }
        Ok(slot)
    }

    /// Makes the PTE table under a PMD entry unless there is one, or a huge page.
    #[inline(never)]
    pub(crate) fn pte_alloc(&self, m: &Machine, pmd: &Slot) -> Result<(), OutOfMemory> {
        if pmd.load().is_none() {
            let new = m.alloc_table(Level::Pte)?;
            self.pmd_install(m, pmd, new);
        }
        Ok(())
    }

    /// Puts a new PTE table under a PMD entry, or frees it if somebody was faster.
    #[inline(never)]
    pub(crate) fn pmd_install(&self, m: &Machine, pmd: &Slot, new: Arc<PageTable>) {
        let _pmd_lock = pmd.table.lock.lock();
        self.fill(m, pmd, new);
    }

    fn fill(&self, m: &Machine, slot: &Slot, new: Arc<PageTable>) {
        sched::must_hold(slot.table.level <= Level::Pmd || self.page_table_lock.is_mine(), || {
            format!("a {} entry of process {} is filled without page_table_lock", slot.table.level.as_str(), self.id)
        });
        if slot.load().is_none() {
            slot.store(Entry::table(new.id));
            self.tables.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        } else {
            m.memory.free_table(&new, "its maker, who came second".to_owned());
        }
    }

    /// Maps and locks the PTE table under a PMD entry. `None` if there is none (any more).
    #[inline(never)]
    #[track_caller]
    pub(crate) fn pte_offset_map_lock<'m>(
        &self,
        m: &'m Machine,
        vma: &Vma,
        pmd: &Slot,
        subclass: u8,
    ) -> Option<PteMap<'m>> {
        self.check_walk(vma);
        loop {
            let rcu = self.protocol.pte_map_under_rcu.then(|| m.rcu.read());
            let entry = pmd.load();
            let table = m.memory.table(entry.as_table()?)?;
            let ptl = table.lock.lock_nested(subclass);
            table.check_alive("locked");
            if rcu.is_none() || pmd.load() == entry || sched::forgets(Look::PmdUnderPteLock) {
                return Some(PteMap { table, _ptl: ptl, _rcu: rcu });
            }
        }
    }

    /// As [`pte_offset_map_lock`](Self::pte_offset_map_lock), but gives up where the lock is taken.
    #[track_caller]
    pub(crate) fn pte_offset_map_trylock<'m>(&self, m: &'m Machine, vma: &Vma, pmd: &Slot) -> Option<PteMap<'m>> {
        self.check_walk(vma);
        let rcu = self.protocol.pte_map_under_rcu.then(|| m.rcu.read());
        let entry = pmd.load();
        let table = m.memory.table(entry.as_table()?)?;
        let ptl = table.lock.try_lock()?;
        table.check_alive("locked");
        (rcu.is_none() || pmd.load() == entry).then(|| PteMap { table, _ptl: ptl, _rcu: rcu })
    }

    /// Visits the entries of a range that are not empty, each under its lock: PTEs, and huge pages once per PMD.
    pub(crate) fn walk(&self, m: &Machine, vma: &Vma, range: Range<u64>, visit: &mut dyn FnMut(&Slot, u64, Entry)) {
        let mut addr = range.start;
        while addr < range.end {
            let next = (addr / PMD_SIZE + 1).saturating_mul(PMD_SIZE).min(range.end);
            if let Some(pmd) = self.slot(m, addr, Level::Pmd) {
                self.walk_pmd(m, vma, &pmd, addr..next, visit);
            }
            addr = next;
        }
    }

    fn walk_pmd(
        &self,
        m: &Machine,
        vma: &Vma,
        pmd: &Slot,
        range: Range<u64>,
        visit: &mut dyn FnMut(&Slot, u64, Entry),
    ) {
        if is_whole(pmd.load()) {
            self.check_walk(vma);
            let _pmd_lock = pmd.table.lock.lock();
            let entry = pmd.load();
            if is_whole(entry) {
                visit(pmd, range.start / PMD_SIZE * PMD_SIZE, entry);
                return;
            }
        }
        if pmd.load().is_none() {
            return;
        }
        let Some(map) = self.pte_offset_map_lock(m, vma, pmd, 0) else { return };
        for addr in range.step_by(PAGE_SIZE as usize) {
            let slot = map.slot(addr);
            let entry = slot.load();
            if !entry.is_none() {
                visit(&slot, addr, entry);
            }
        }
    }

    /// Checks that something keeps the page tables of this VMA in place.
    pub(crate) fn check_walk(&self, vma: &Vma) {
        let by_vma = vma.lock.is_mine() && !vma.is_marked(self);
        let by_file = || vma.file.as_ref().is_some_and(|file| file.mapping.i_mmap_rwsem.is_mine());
        let by_anon = || vma.anon_vma_chain.lock().iter().any(|anon_vma| anon_vma.rwsem().is_mine());
        if !(self.is_mine() || by_vma || by_file() || by_anon()) {
            let text = format!("the page tables of vma {} are walked, and nothing keeps them in place", vma.id);
            sched::finding(Invariant::WalkUnprotected, text);
        }
    }

    /// Checks that this actor may fill an empty entry of this VMA.
    pub(crate) fn check_install(&self, vma: &Vma) {
        if !(self.mmap_lock.is_mine() || vma.lock.is_mine() && !vma.is_marked(self)) {
            let text = format!("an entry of vma {} is filled without the mmap lock and the VMA lock", vma.id);
            sched::finding(Invariant::InstallUnprotected, text);
        }
    }
}

/// Returns whether a PMD entry stands for a huge page, there or absent.
fn is_whole(entry: Entry) -> bool {
    entry.is_page() || entry.as_absent().is_some()
}
