//! What a scenario does: [`World`] is the machine from the kernel's side, [`Process`] is what user code can do.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use crate::{
    Bug,
    machine::Machine,
    mem::Message,
    mem::{Inode, Mm, PAGE_SIZE, SecondaryMmu, Userfaultfd, VmFlags},
    model::Access,
    op::{self, Advice, Signal, mmap::Request, userfaultfd::fill::Filled},
    protocol::Protocol,
};

/// A simulated machine and what its kernel does by itself.
#[derive(Clone)]
pub struct World {
    pub(crate) machine: Arc<Machine>,
    /// The seed of the run, for scenarios that draw what they do.
    pub(crate) seed: u64,
}

/// A file of the simulated machine.
#[derive(Clone)]
pub struct File(pub(crate) Arc<Inode>);

/// A directory of the simulated machine.
#[derive(Clone)]
pub struct Directory(Arc<op::readdir::Directory>);

/// A directory whose lock is of the same class as those of files.
#[derive(Clone)]
pub struct PlainDirectory(Arc<op::unlink::PlainDirectory>);

/// How a file of hugetlbfs is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Huge {
    /// Shared; its pages are promised.
    Shared,
    /// Shared; nothing is promised.
    SharedNoreserve,
    /// Private; its pages are promised.
    Private,
    /// Private; nothing is promised.
    PrivateNoreserve,
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
        File(self.machine.create_shmem(pages))
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
        Directory(Arc::new(op::readdir::Directory::new(&self.machine)))
    }

    /// Makes the pool of huge pages this large, or as large as it can be. Returns its size.
    pub fn set_huge_pages(&self, count: u64) -> u64 {
        op::hugetlb::pool::set_max_huge_pages(&self.machine, count)
    }

    /// Punches a hole into a file, which is zeros from then on; one of hugetlbfs loses only whole huge pages.
    pub fn punch_hole(&self, file: &File, pages: Range<u64>) {
        op::hole::punch_hole(&self.machine, &file.0, pages);
    }

    /// Gives the huge pages of a range of a file of hugetlbfs memory now. Returns whether there was enough.
    pub fn allocate(&self, file: &File, pages: Range<u64>) -> bool {
        op::hugetlb::file::hugetlbfs_fallocate(&self.machine, &file.0, pages)
    }

    /// Moves a huge page of a file of hugetlbfs to another place of memory. Returns whether it could.
    pub fn migrate_huge(&self, file: &File, huge_index: u64) -> bool {
        op::hugetlb::migrate::migrate_hugetlb_folio(&self.machine, &file.0, huge_index)
    }

    /// Sets the size of a file, in pages. That of a file of hugetlbfs is a multiple of 512.
    pub fn truncate(&self, file: &File, pages: u64) {
        op::truncate::truncate(&self.machine, &file.0, pages);
    }

    /// Writes what is dirty of a file to disk.
    pub fn writeback(&self, file: &File) {
        op::writeback::writeback(&self.machine, &file.0);
    }

    /// khugepaged makes one huge folio of the 512 pages from `start` on. Returns whether it could.
    pub fn collapse(&self, file: &File, start: u64) -> bool {
        op::collapse::collapse_file(&self.machine, &file.0, start)
    }

    /// Anonymous memory gets huge pages without asking, from now on.
    pub fn use_huge_pages_always(&self) {
        self.machine.khugepaged.set_for_all();
    }

    /// khugepaged goes through the processes that want huge pages. Returns how many it has made.
    pub fn khugepaged(&self) -> u64 {
        op::thp::khugepaged::scan(&self.machine)
    }

    /// kswapd tries to free `pages` pages. Returns whether it had to unmap one for that.
    pub fn reclaim(&self, pages: u64) -> bool {
        op::reclaim::balance_pgdat(&self.machine, pages)
    }

    /// Makes a directory.
    pub fn make_plain_directory(&self) -> PlainDirectory {
        PlainDirectory(Arc::new(op::unlink::PlainDirectory::new(&self.machine)))
    }

    /// Takes a file's name out of a directory.
    pub fn unlink(&self, directory: &PlainDirectory, file: &File) {
        op::unlink::vfs_unlink(&self.machine, &directory.0, &file.0);
    }

    /// Turns swap on, with room for at least `slots` pages.
    pub fn swapon(&self, slots: u64) {
        op::swap::swapon(&self.machine, slots);
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
            op::memory_failure::memory_failure(&self.machine, pfn) == op::memory_failure::Handled::Recovered
        })
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

/// A process: user code and the system calls it makes. Clones are threads of one process.
#[derive(Clone)]
pub struct Process {
    pub(crate) machine: Arc<Machine>,
    pub(crate) mm: Arc<Mm>,
}

impl Process {
    /// Maps `pages` pages of anonymous, private, writable memory at a free place. Returns the address.
    pub fn map_anon(&self, pages: u64) -> u64 {
        self.map(Request { addr: None, pages, flags: VmFlags::READ_WRITE, file: None })
    }

    /// As [`map_anon`](Self::map_anon), with all pages there at once.
    pub fn map_anon_populated(&self, pages: u64) -> u64 {
        let request = Request { addr: None, pages, flags: VmFlags::READ_WRITE, file: None };
        op::populate::mmap_populate(&self.machine, &self.mm, request)
            .expect("a free place is free: one thread maps at a time")
    }

    /// Maps `pages` pages of a file from page `offset` on, shared and writable or private. Returns the address.
    pub fn map_file(&self, file: &File, offset: u64, pages: u64, shared: bool) -> u64 {
        let flags = VmFlags { shared, ..VmFlags::READ_WRITE };
        self.map(Request { addr: None, pages, flags, file: Some((file.0.clone(), offset)) })
    }

    /// Maps `pages` pages of a file of hugetlbfs from page `offset` on, writable; both are multiples of 512. A mapping of 1 GiB
    /// or more begins at a multiple of that. Returns the address, or `None` if the pool cannot promise the pages.
    ///
    /// Of each huge page the memory model knows the first two pages: only those may be accessed.
    pub fn map_huge(&self, file: &File, offset: u64, pages: u64, how: Huge) -> Option<u64> {
        let shared = matches!(how, Huge::Shared | Huge::SharedNoreserve);
        let noreserve = matches!(how, Huge::SharedNoreserve | Huge::PrivateNoreserve);
        let flags = VmFlags { shared, noreserve, hugetlb: true, ..VmFlags::READ_WRITE };
        let request = Request { addr: None, pages, flags, file: Some((file.0.clone(), offset)) };
        op::mmap::mmap(&self.machine, &self.mm, request)
    }

    /// Stores a name of a directory at `answer`.
    ///
    /// # Errors
    ///
    /// The signal that the store gets.
    pub fn readdir(&self, directory: &Directory, name: u64, answer: u64) -> Result<(), Signal> {
        op::readdir::readdir(&self.machine, &self.mm, &directory.0, name, answer)
    }

    /// Writes the word at `from` to page `index` of a file, by a system call.
    ///
    /// # Errors
    ///
    /// The signal that reading `from` gets.
    pub fn write(&self, file: &File, index: u64, from: u64) -> Result<(), Signal> {
        op::rw::write(&self.machine, &self.mm, &file.0, index, from)
    }

    /// Reads page `index` of a file by a system call and stores its word at `to`. Returns it, or `None` beyond the end.
    ///
    /// # Errors
    ///
    /// The signal that storing at `to` gets.
    pub fn read(&self, file: &File, index: u64, to: u64) -> Result<Option<u64>, Signal> {
        op::rw::read(&self.machine, &self.mm, &file.0, index, to)
    }

    /// Maps `pages` pages of anonymous memory at an address. Returns whether nothing was mapped there.
    pub fn map_anon_at(&self, addr: u64, pages: u64) -> bool {
        let request = Request { addr: Some(addr), pages, flags: VmFlags::READ_WRITE, file: None };
        op::mmap::mmap(&self.machine, &self.mm, request).is_some()
    }

    /// Makes a stack of `pages` pages, which grows down when a page below it is touched. Returns its lowest address.
    pub fn map_stack(&self, pages: u64) -> u64 {
        op::stack::map_stack(&self.machine, &self.mm, pages)
    }

    fn map(&self, request: Request) -> u64 {
        op::mmap::mmap(&self.machine, &self.mm, request).expect("a free place is free: one thread maps at a time")
    }

    /// Sets what a range allows. Returns whether all of it was mapped.
    pub fn protect(&self, range: Range<u64>, access: Access) -> bool {
        op::mprotect::mprotect(&self.machine, &self.mm, range, access)
    }

    /// Sets the size of the heap, in pages. Returns its first address, or `None` if it may not be as large.
    pub fn brk(&self, pages: u64) -> Option<u64> {
        op::brk::brk(&self.machine, &self.mm, pages).then_some(op::brk::HEAP_BASE)
    }

    /// Says something of a range of memory. Returns whether all of it was mapped.
    pub fn advise(&self, range: Range<u64>, advice: Advice) -> bool {
        op::madvise::madvise(&self.machine, &self.mm, range, advice)
    }

    /// Locks a range in memory. Returns whether all of it was mapped and may be locked.
    ///
    /// # Errors
    ///
    /// The signal that faulting in the rest of it got.
    pub fn lock(&self, range: Range<u64>) -> Result<bool, Signal> {
        op::mlock::mlock(&self.machine, &self.mm, range)
    }

    /// Undoes [`lock`](Self::lock).
    pub fn unlock(&self, range: Range<u64>) -> bool {
        op::mlock::munlock(&self.machine, &self.mm, &range)
    }

    /// Sets the memory node that the pages of a range come from. Returns how many are there already; `None` if part of the
    /// range is not mapped.
    pub fn bind(&self, range: Range<u64>, node: u8) -> Option<u64> {
        op::mbind::mbind(&self.machine, &self.mm, range, node)
    }

    /// Writes to disk what shared mappings of a range have changed.
    pub fn sync(&self, range: Range<u64>) {
        op::msync::msync(&self.machine, &self.mm, &range);
    }

    /// Lets a range of a shared mapping show its file from page `offset` on. Returns whether it is one.
    pub fn remap_file_pages(&self, range: Range<u64>, offset: u64) -> bool {
        op::remap_file_pages::remap_file_pages(&self.machine, &self.mm, range, offset)
    }

    /// Unmaps a range of addresses.
    pub fn unmap(&self, range: Range<u64>) {
        op::munmap::munmap(&self.machine, &self.mm, range);
    }

    /// Moves a range to a free place. Returns the new address, or `None` if the range is not within one mapping.
    pub fn remap(&self, range: Range<u64>) -> Option<u64> {
        op::mremap::mremap(&self.machine, &self.mm, range, op::mremap::Leave::Nothing)
    }

    /// Moves the pages of an anonymous mapping to a free place; the mapping itself stays, empty. Returns the new address,
    /// or `None` if the range is not exactly one such mapping.
    pub fn remap_leaving_empty(&self, range: Range<u64>) -> Option<u64> {
        op::mremap::mremap(&self.machine, &self.mm, range, op::mremap::Leave::Empty)
    }

    /// Reads the word at an address.
    ///
    /// # Errors
    ///
    /// The signal that the access gets. It is checked against the memory model, as is the value.
    pub fn load(&self, addr: u64) -> Result<u64, Signal> {
        op::access::load(&self.machine, &self.mm, addr)
    }

    /// Writes the word at an address.
    ///
    /// # Errors
    ///
    /// The signal that the access gets. It is checked against the memory model.
    pub fn store(&self, addr: u64, word: u64) -> Result<(), Signal> {
        op::access::store(&self.machine, &self.mm, addr, word)
    }

    /// Reads one word of each of `pages` pages.
    ///
    /// # Errors
    ///
    /// The first signal.
    pub fn touch(&self, addr: u64, pages: u64) -> Result<(), Signal> {
        (0..pages).try_for_each(|page| self.load(addr + page * PAGE_SIZE).map(drop))
    }

    /// Counts the pages of a range that are in memory, and stores the count at `answer`.
    ///
    /// # Errors
    ///
    /// The signal that the store gets.
    pub fn mincore(&self, range: Range<u64>, answer: u64) -> Result<u64, Signal> {
        op::mincore::mincore(&self.machine, &self.mm, range, answer)
    }

    /// Makes a copy of the process. `None` without memory for it.
    pub fn fork(&self) -> Option<Self> {
        let mm = op::fork::dup_mmap(&self.machine, &self.mm).ok()?;
        Some(Self { machine: self.machine.clone(), mm })
    }

    /// Makes a virtual machine whose memory is that of the process.
    pub fn create_guest(&self) -> Guest {
        let mmu = op::mmu_notifier::mmu_notifier_register(&self.machine, &self.mm);
        Guest { process: self.clone(), mmu }
    }

    /// Pins the page at an address for a device that writes to it. It stays pinned until [`Pin::drop`].
    ///
    /// # Errors
    ///
    /// The signal that a store would get.
    pub fn pin(&self, addr: u64) -> Result<Pin, Signal> {
        let foll = op::gup::Foll { write: true, pin: true };
        let page = op::gup_fast::get_user_page_fast(&self.machine, &self.mm, addr, foll)?;
        Ok(Pin { process: self.clone(), addr, page: Some(page) })
    }

    /// Opens a userfaultfd: the holder is told of pages that are missing, and brings them in.
    pub fn userfaultfd(&self) -> Userfault {
        Userfault {
            process: self.clone(),
            ctx: Userfaultfd::new(self.machine.new_id(), self.machine.protocol.has(Bug::UffdQueuesWithIrqsOn)),
        }
    }

    /// Looks for the page at an address without any lock, as `get_user_pages_fast_only` does. Returns whether it was there.
    pub fn peek(&self, addr: u64) -> bool {
        op::gup_fast::get_user_page_fast_only(&self.machine, &self.mm, addr)
    }

    /// Lets KSM merge the anonymous pages of a range, or no more.
    pub fn set_mergeable(&self, range: Range<u64>, mergeable: bool) {
        op::ksm::advise::ksm_madvise(&self.machine, &self.mm, &range, mergeable);
    }

    /// Moves the pages of a range to other frames. Returns how many folios have moved.
    pub fn move_pages(&self, range: Range<u64>) -> u64 {
        op::migrate::syscall::move_pages(&self.machine, &self.mm, range)
    }

    /// The kernel wants to see who uses the pages of a range: each moves at the next use.
    pub fn numa_hint(&self, range: Range<u64>) {
        op::migrate::numa::change_prot_numa(&self.machine, &self.mm, &range);
    }

    /// Kills the process: it does nothing any more until it is ended.
    pub fn kill(&self) {
        op::oom::kill(&self.mm);
    }

    /// Gives back what only the process has, if it has been killed.
    pub fn mrelease(&self) -> bool {
        op::oom::process_mrelease(&self.machine, &self.mm)
    }

    /// Counts the resident pages, as `/proc/PID/smaps` does.
    pub fn resident(&self) -> u64 {
        op::proc::smaps(&self.machine, &self.mm)
    }

    /// Says something of a range of another process's memory. Returns whether it may, and all of the range was mapped.
    pub fn advise_other(&self, other: &Self, range: Range<u64>, advice: Advice) -> bool {
        op::madvise::process::process_madvise(&self.machine, &self.mm, &other.mm, range, advice)
    }

    /// Marks all pages as not used.
    pub fn clear_refs(&self) {
        op::proc::clear_refs(&self.machine, &self.mm);
    }

    /// Returns the ranges of all mappings, as `/proc/PID/maps` does.
    pub fn maps(&self) -> Vec<Range<u64>> {
        op::proc::maps(&self.machine, &self.mm)
    }

    /// Frees the page table of the 2 MiB at an address, if it maps a huge folio of a file page by page, so that one entry
    /// can map it. Returns whether it did.
    pub fn collapse_pte_mapped(&self, addr: u64) -> bool {
        op::collapse_pte_mapped::collapse_pte_mapped_thp(&self.machine, &self.mm, addr)
    }

    /// Ends the process.
    pub fn exit(self) {
        op::exit::exit_mmap(&self.machine, &self.mm);
    }
}

/// A virtual machine on the memory of a process.
#[derive(Clone)]
pub struct Guest {
    process: Process,
    mmu: Arc<SecondaryMmu>,
}

impl Guest {
    /// Reads the word at an address of the process.
    ///
    /// # Errors
    ///
    /// The signal that the process would get. The value is checked against the memory model.
    pub fn load(&self, addr: u64) -> Result<u64, Signal> {
        op::guest::access(&self.process.machine, &self.process.mm, &self.mmu, addr, None)
    }

    /// Writes the word at an address of the process.
    ///
    /// # Errors
    ///
    /// The signal that the process would get.
    pub fn store(&self, addr: u64, word: u64) -> Result<(), Signal> {
        op::guest::access(&self.process.machine, &self.process.mm, &self.mmu, addr, Some(word)).map(drop)
    }

    /// Ends the virtual machine; the process goes on.
    pub fn stop(self) {
        op::mmu_notifier::mmu_notifier_unregister(&self.process.machine, &self.process.mm, &self.mmu);
    }
}

/// A page of a process that a device writes to past the page tables.
pub struct Pin {
    process: Process,
    addr: u64,
    page: Option<op::gup::UserPage>,
}

impl Pin {
    /// Writes the word. The process sees it, as long as it keeps the page mapped.
    pub fn write(&self, word: u64) {
        if let Some(page) = &self.page {
            op::gup::write_behind(&self.process.machine, &self.process.mm, self.addr, page, word);
        }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        if let Some(page) = self.page.take() {
            op::gup::put_user_page(&self.process.machine, page);
        }
    }
}

/// A userfaultfd of a process.
#[derive(Clone)]
pub struct Userfault {
    process: Process,
    ctx: Arc<Userfaultfd>,
}

impl Userfault {
    /// Polls the file.
    pub fn poll(&self) {
        self.ctx.poll();
    }

    /// Wants to be told of missing pages of the private mappings of a range, and of writes to protected ones. Returns
    /// whether there are such mappings.
    pub fn register(&self, range: Range<u64>, missing: bool, writes: bool) -> bool {
        let modes = op::userfaultfd::register::Modes { missing, wp: writes };
        op::userfaultfd::register::register(&self.process.machine, &self.process.mm, &self.ctx, &range, modes)
    }

    /// Ends that for a range.
    pub fn unregister(&self, range: Range<u64>) {
        op::userfaultfd::register::unregister(&self.process.machine, &self.process.mm, &self.ctx, &range);
    }

    /// Returns who waits for a page, if anybody has come since.
    pub fn read(&self) -> Option<Message> {
        self.ctx.read()
    }

    /// Brings in a page with the word at `from`, which is an address of the process too.
    pub fn copy(&self, addr: u64, from: u64) -> Filled {
        self.fill(addr, op::userfaultfd::fill::Source::User(from))
    }

    /// Brings in a page of zeros.
    pub fn zeropage(&self, addr: u64) -> Filled {
        self.fill(addr, op::userfaultfd::fill::Source::Zeros)
    }

    fn fill(&self, addr: u64, source: op::userfaultfd::fill::Source) -> Filled {
        op::userfaultfd::fill::mfill_atomic(&self.process.machine, &self.process.mm, &self.ctx, addr, source)
    }

    /// Brings in the page that is mapped at `from`, which is empty then.
    pub fn move_page(&self, addr: u64, from: u64) -> Filled {
        op::userfaultfd::move_pages::move_page(&self.process.machine, &self.process.mm, &self.ctx, addr, from)
    }

    /// Protects the pages of a range from writes, or lets them be written again.
    pub fn protect(&self, range: Range<u64>, protect: bool) -> Filled {
        let (machine, mm) = (&self.process.machine, &self.process.mm);
        op::userfaultfd::protect::mwriteprotect_range(machine, mm, &self.ctx, &range, protect)
    }

    /// Closes it: pages that are missing are zeros again, and nobody waits any more.
    pub fn close(self) {
        op::userfaultfd::register::release(&self.process.machine, &self.process.mm, &self.ctx);
    }
}
