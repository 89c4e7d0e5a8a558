//! What a scenario can do: [`World`] is the machine from the kernel's side, [`Process`] is what user code can do, and [`Guest`],
//! [`Pin`] and [`Userfault`] are what it can have besides its memory.

mod file;
mod guest;
mod pin;
mod process;
mod userfault;

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use crate::{
    Bug,
    classes::{DIR_I_RWSEM, HUGETLBFS_I_RWSEM, I_RWSEM},
    machine::Machine,
    mem,
    op::{self, fallocate::Fallocate},
    protocol::Protocol,
};

pub use file::{Directory, File, Huge, PlainDirectory};
pub use guest::Guest;
pub use pin::Pin;
pub use process::Process;
pub use userfault::Userfault;

/// A simulated machine and what its kernel does by itself.
#[derive(Clone)]
pub struct World {
    pub(crate) machine: Arc<Machine>,
    /// The seed of the run, for scenarios that draw what they do.
    pub(crate) seed: u64,
}

impl World {
    /// A machine with `pages` pages of memory under these rules.
    pub(crate) fn new(protocol: Protocol, pages: u64, seed: u64) -> Self {
        Self { machine: Machine::new(protocol, pages), seed }
    }

    /// Returns the rules.
    pub fn protocol(&self) -> Protocol {
        self.machine.protocol
    }

    /// Makes a file of `pages` zero pages.
    pub fn create(&self, pages: u64) -> File {
        File(self.machine.create(pages))
    }

    /// Makes a file of shared memory of `pages` zero pages: what it holds is in memory or swapped out.
    pub fn create_shmem(&self, pages: u64) -> File {
        File(self.machine.create_shmem(pages, false))
    }

    /// Makes a file of shared memory of `pages` zero pages, which gets huge folios where there is room for them.
    pub fn create_huge_shmem(&self, pages: u64) -> File {
        File(self.machine.create_shmem(pages, true))
    }

    /// Makes a file of `pages` zero pages of persistent memory.
    pub fn create_dax(&self, pages: u64) -> File {
        let file = self.create(pages);
        file.0.is_dax.store(true, Relaxed);
        file
    }

    /// Lets the security module measure a file whenever it is mapped.
    pub fn measure(&self, file: &File) {
        file.0.is_measured.store(true, Relaxed);
    }

    /// Starts a process with nothing mapped. `None` without memory for it.
    pub fn spawn(&self) -> Option<Process> {
        let mm = op::fork::new_mm(&self.machine).ok()?;
        Some(Process { machine: self.machine.clone(), mm })
    }

    /// Makes an empty file of hugetlbfs. It grows as it is mapped.
    pub fn create_huge(&self) -> File {
        File(self.machine.create_hugetlbfs())
    }

    /// Makes a directory of hugetlbfs.
    pub fn make_directory(&self) -> Directory {
        let is_in_file_class = self.protocol().has(Bug::DirectoryInFileClass);
        let class = if is_in_file_class { &HUGETLBFS_I_RWSEM } else { &DIR_I_RWSEM };
        Directory(Arc::new(mem::Directory::new(class, self.machine.new_id())))
    }

    /// Makes the pool of huge pages this large, or as large as it can be. Returns its size.
    pub fn set_huge_pages(&self, count: u64) -> u64 {
        op::hugetlb::pool::set_max_huge_pages(&self.machine, count)
    }

    /// Punches a hole into a file, which is zeros from then on; one of hugetlbfs loses only whole huge pages. Returns whether it
    /// may: not if swap is on it.
    pub fn punch_hole(&self, file: &File, pages: Range<u64>) -> bool {
        op::fallocate::vfs_fallocate(&self.machine, &file.0, Fallocate::PunchHole, pages)
    }

    /// Gives the huge pages of a range of a file of hugetlbfs memory now. Returns whether there was enough.
    pub fn allocate(&self, file: &File, pages: Range<u64>) -> bool {
        op::fallocate::vfs_fallocate(&self.machine, &file.0, Fallocate::Allocate, pages)
    }

    /// Moves a huge page of a file of hugetlbfs to another place of memory. Returns whether it could.
    pub fn migrate_huge(&self, file: &File, huge_index: u64) -> bool {
        op::hugetlb::migrate::migrate_hugetlb_folio(&self.machine, &file.0, huge_index)
    }

    /// Sets the size of a file, in pages. That of a file of hugetlbfs is a multiple of 512. Returns whether it may have it: one
    /// that swap is on is not cut.
    pub fn truncate(&self, file: &File, pages: u64) -> bool {
        op::truncate::truncate(&self.machine, &file.0, pages)
    }

    /// Writes what is dirty of a file to disk.
    pub fn writeback(&self, file: &File) {
        op::writeback::writeback(&self.machine, &file.0);
    }

    /// Reads a page of a file by the number of its block, as the file system does, past the locks of the page. `None` if the
    /// page has not been written since it was read from disk.
    pub fn read_block(&self, file: &File, index: u64) -> Option<u64> {
        op::buffer::read_block(&self.machine, &file.0, index)
    }

    /// khugepaged makes one huge folio of the 512 pages from `start` on. Returns whether it could.
    pub fn collapse(&self, file: &File, start: u64) -> bool {
        op::thp::khugepaged::collapse_pages(&self.machine, &file.0, start)
    }

    /// Anonymous memory gets huge pages without asking, from now on.
    pub fn use_huge_pages_always(&self) {
        self.machine.khugepaged.set_for_all();
    }

    /// khugepaged goes through the processes that want huge pages. Returns how many it has made.
    pub fn khugepaged(&self) -> u64 {
        op::thp::khugepaged::scan(&self.machine)
    }

    /// khugepaged looks at what a process that wants huge pages maps of a file at an address, and makes one huge folio of
    /// it. Returns whether it could.
    pub fn khugepaged_file(&self, process: &Process, addr: u64) -> bool {
        op::thp::khugepaged::scan_file(&self.machine, &process.mm, addr)
    }

    /// kswapd tries to free `pages` pages. Returns whether it had to unmap one for that.
    pub fn reclaim(&self, pages: u64) -> bool {
        op::reclaim::balance_pgdat(&self.machine, pages)
    }

    /// Makes a directory.
    pub fn make_plain_directory(&self) -> PlainDirectory {
        PlainDirectory(Arc::new(mem::Directory::new(&I_RWSEM, self.machine.new_id())))
    }

    /// Gives a file a name in a directory. Returns whether it had none there.
    pub fn link(&self, directory: &PlainDirectory, file: &File) -> bool {
        op::link::vfs_link(&self.machine, &directory.0, &file.0)
    }

    /// Takes a file's name out of a directory. Returns whether it had one and may lose it: not if swap is on it.
    pub fn unlink(&self, directory: &PlainDirectory, file: &File) -> bool {
        op::unlink::vfs_unlink(&self.machine, &directory.0, &file.0)
    }

    /// Turns swap on, with room for at least `slots` pages.
    pub fn swapon(&self, slots: u64) {
        op::swap::swapon(&self.machine, slots);
    }

    /// Turns swap on with a file, whose pages are those of swap until it is off again. Returns whether it is on: a file takes
    /// the place of no other device.
    pub fn swapon_file(&self, file: &File) -> bool {
        op::swap::swapon_file(&self.machine, &file.0)
    }

    /// Turns swap off: everything comes back into memory. Returns whether there was room; if not, swap stays on.
    pub fn swapoff(&self) -> bool {
        op::swap::swapoff(&self.machine)
    }

    /// The flusher thread writes what is dirty of all files.
    pub fn flush(&self) {
        op::writeback::flush(&self.machine);
    }

    /// Moves some folios to other frames. Returns how many have moved.
    pub fn compact(&self) -> u64 {
        op::migrate::compaction::compact_zone(&self.machine)
    }

    /// The hardware reports that the frame of a page of a process is broken. Returns whether there was one and nobody else was
    /// doing something with it.
    pub fn break_page(&self, process: &Process, addr: u64) -> bool {
        let frame = op::gup::frame_of(&self.machine, &process.mm, addr);
        frame.is_some_and(|pfn| {
            op::memory_failure::memory_failure(&self.machine, pfn, None) == op::memory_failure::Handled::Recovered
        })
    }

    /// The frame of a page of a process fails, and nobody notices before user code accesses it. Returns whether there was one.
    pub fn fail_page(&self, process: &Process, addr: u64) -> bool {
        let frame = op::gup::frame_of(&self.machine, &process.mm, addr);
        frame.into_iter().for_each(|pfn| self.machine.poison.fail(pfn));
        frame.is_some()
    }

    /// Marks the page of a process as not used. Returns whether there is one that can be marked.
    pub fn mark_idle(&self, process: &Process, addr: u64) -> bool {
        let frame = op::gup::frame_of(&self.machine, &process.mm, addr);
        frame.is_some_and(|pfn| op::page_idle::mark_idle(&self.machine, pfn))
    }

    /// Returns whether the page of a process was marked and has not been used since.
    pub fn is_idle(&self, process: &Process, addr: u64) -> bool {
        let frame = op::gup::frame_of(&self.machine, &process.mm, addr);
        frame.is_some_and(|pfn| op::page_idle::is_idle(&self.machine, pfn))
    }

    /// The OOM killer kills a process and takes back what only it has. Returns whether the reaper got the lock.
    pub fn oom_kill(&self, process: &Process) -> bool {
        op::oom::kill(&process.mm);
        op::oom::oom_reap_task_mm(&self.machine, &process.mm)
    }

    /// Moves everything that can move out of a range of frames. Returns how many folios have moved.
    pub fn offline(&self, frames: Range<u64>) -> u64 {
        op::memory_hotplug::offline_pages(&self.machine, &frames)
    }

    /// One round of KSM. Returns how many pages were merged.
    pub fn ksm_scan(&self) -> u64 {
        op::ksm::scan::ksm_do_scan(&self.machine)
    }

    /// Ends all sharing by KSM.
    pub fn ksm_unmerge(&self) {
        op::ksm::advise::unmerge_and_remove_all_rmap_items(&self.machine);
    }

    /// Puts a breakpoint into all code that a page of a file is mapped as: private, read-only mappings read `word` there from
    /// now on. Returns how many processes have it.
    pub fn probe(&self, file: &File, index: u64, word: u64) -> u64 {
        op::uprobe::uprobe_register(&self.machine, &file.0, index, word)
    }

    /// Reclaim looks at the page tables of all processes for pages that are in use. Returns how many it has found.
    pub fn age(&self) -> usize {
        op::mglru::try_to_inc_max_seq(&self.machine)
    }

    /// What the kernel shows lockdep of buffers that devices share, when it boots.
    pub fn prime_dma_resv(&self) {
        op::neighbours::dma_resv::dma_resv_lockdep(&self.machine);
    }

    /// The actor computes, and the others run for `steps` steps of the scheduler.
    pub fn compute(&self, steps: u64) {
        crate::sched::sleep(steps);
    }

    /// Returns how many pages of memory are free.
    pub fn free_pages(&self) -> u64 {
        self.machine.memory.free_pages().max(0) as u64
    }
}
