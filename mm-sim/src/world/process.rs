//! A process: the memory accesses and the system calls of user code.

use std::{ops::Range, sync::Arc};

use super::{Directory, File, Huge};
use crate::{
    machine::Machine,
    mem::{Mm, PAGE_SIZE, VmFlags},
    model::Access,
    op::{self, Advice, Signal, mmap::Request, mremap::Leave},
};

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

    /// Stores the name of a directory that comes at or after `name` at `answer`. Returns it, if there is one.
    ///
    /// # Errors
    ///
    /// The signal that the store gets.
    pub fn readdir(&self, directory: &Directory, name: u64, answer: u64) -> Result<Option<u64>, Signal> {
        op::readdir::readdir(&self.machine, &self.mm, &directory.0, name, answer)
    }

    /// Writes the word at `from` to page `index` of a file, by a system call. Returns whether it did: not beyond the end, nor if
    /// swap is on the file.
    ///
    /// # Errors
    ///
    /// The signal that reading `from` gets.
    pub fn write(&self, file: &File, index: u64, from: u64) -> Result<bool, Signal> {
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

    /// Sets the memory node, 0 or 1, that new pages of a range come from. Returns how many pages are on another one; `None`
    /// if part of the range is not mapped.
    pub fn bind(&self, range: Range<u64>, node: u8) -> Option<u64> {
        op::mbind::mbind(&self.machine, &self.mm, &range, node, op::mbind::Misplaced::Stay)
    }

    /// As [`bind`](Self::bind), and moves the pages that only this process has. Returns how many pages and huge pages stay
    /// elsewhere.
    pub fn bind_and_move(&self, range: Range<u64>, node: u8) -> Option<u64> {
        op::mbind::mbind(&self.machine, &self.mm, &range, node, op::mbind::Misplaced::Move)
    }

    /// Moves what only this process has on the node `from` to the node `to`. Returns how many folios have moved.
    pub fn migrate(&self, from: u8, to: u8) -> u64 {
        op::migrate::syscall::migrate_to_node(&self.machine, &self.mm, from, to)
    }

    /// Counts the resident pages of each memory node, as `/proc/PID/numa_maps` does.
    pub fn pages_by_node(&self) -> [u64; 2] {
        op::proc::numa_maps(&self.machine, &self.mm)
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
        op::mremap::mremap(&self.machine, &self.mm, range, None, Leave::Nothing)
    }

    /// Moves a range to `to`, where nothing else is mapped afterwards. Returns `to`, or `None` if the range is not within one
    /// mapping, overlaps the new place, or is one of hugetlbfs.
    pub fn remap_to(&self, range: Range<u64>, to: u64) -> Option<u64> {
        op::mremap::mremap(&self.machine, &self.mm, range, Some(to), Leave::Nothing)
    }

    /// Moves the pages of an anonymous mapping to a free place; the mapping itself stays, empty. Returns the new address,
    /// or `None` if the range is not exactly one such mapping.
    pub fn remap_leaving_empty(&self, range: Range<u64>) -> Option<u64> {
        op::mremap::mremap(&self.machine, &self.mm, range, None, Leave::Empty)
    }

    /// Reads the word at an address.
    ///
    /// # Errors
    ///
    /// The signal that the access gets. It is checked against the memory model, as is the value.
    pub fn load(&self, addr: u64) -> Result<u64, Signal> {
        op::access::user_load(&self.machine, &self.mm, addr)
    }

    /// Writes the word at an address.
    ///
    /// # Errors
    ///
    /// The signal that the access gets. It is checked against the memory model.
    pub fn store(&self, addr: u64, word: u64) -> Result<(), Signal> {
        op::access::user_store(&self.machine, &self.mm, addr, word)
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

    /// Becomes another program, whose stack begins with `arguments`, a page each. The stack is made elsewhere first, `shift`
    /// pages above. Returns the new process with the address of its stack; `None` if there was no memory, and the process
    /// ends. As with [`exit`](Self::exit), no other thread may be left.
    pub fn exec(self, arguments: &[u64], shift: u64) -> Option<(Self, u64)> {
        let (mm, stack) = op::exec::execve(&self.machine, &self.mm, arguments, shift)?;
        Some((Self { machine: self.machine, mm }, stack))
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
        op::migrate::syscall::move_pages(&self.machine, &self.mm, &range)
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
        op::collapse_pte_mapped::collapse_pte_mapped_thp(&self.machine, &self.mm, addr, false)
    }

    /// Ends the process.
    pub fn exit(self) {
        op::exit::exit_mmap(&self.machine, &self.mm);
    }
}
