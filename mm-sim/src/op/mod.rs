//! The operations of memory management, one a file, each with its lock order on top.
//!
//! * `mmap`, `munmap`, `mprotect`, `mremap` (`move_page_tables`), `brk`, `madvise`, `mlock`, `mbind`, `msync`, `remap_file_pages`,
//!   `fork`, `exec`, `exit`, `mincore`: a process's address space.
//! * `access`, `bus`: loads and stores as the hardware does them; `fault`, `vm_fault`, `anon_fault`, `file_fault`, `write_fault`,
//!   `absent_fault`, `stack`: what happens when it cannot.
//! * `filemap`, `buffer`, `rw`, `truncate`, `fallocate`, `hole`, `link`, `unlink`, `dirty`, `writeback`: files.
//! * `neighbours`: parts of the kernel that memory management meets.
//! * `split`: huge folios become pages.
//! * `swap`: anonymous memory that goes to the swap device and comes back.
//! * `shmem`: files of shared memory, which go there too.
//! * `collapse`, `collapse_pte_mapped`, `retract`: khugepaged makes a huge folio of a file range, and frees the page tables above it.
//! * `thp`: huge pages of anonymous memory; `huge_pmd`: taking huge pages apart.
//! * `hugetlb`: files of huge pages; `readdir`: their directory, and any other.
//! * `reclaim`: gets memory back; `mglru`, `page_idle`: find out what is in use.
//! * `populate`: faults in all of a mapping at once; `uprobe`: breakpoints in code.
//! * `gup`, `gup_fast`: pages for others than the process; `guest`: a virtual machine on a process's memory; `mmu_notifier`,
//!   `take_all_locks`: telling it what changes.
//! * `machine_check`, `memory_failure`, `memory_hotplug`: memory that breaks or goes; `oom`: that of a process which has been killed.
//! * `proc`: what others see of a process.
//! * `ksm`: pages that are alike become one.
//! * `migrate`: pages move to other frames.
//! * `userfaultfd`: user code brings pages in.
//! * `rmap`: what is done to all entries that map a folio.
//! * `walk`: finding page-table entries and making tables; `zap`, `gather`: emptying them, and what is freed after the flush;
//!   `page_alloc`: memory for all of them.
//! * `anon_vma`, `vma`, `pgtables`: the parts that several of them share.

pub(crate) mod absent_fault;
pub(crate) mod access;
pub(crate) mod anon_fault;
pub(crate) mod anon_vma;
pub(crate) mod brk;
pub(crate) mod buffer;
pub(crate) mod bus;
pub(crate) mod collapse;
pub(crate) mod collapse_pte_mapped;
pub(crate) mod dax;
pub(crate) mod dirty;
pub(crate) mod exec;
pub(crate) mod exit;
pub(crate) mod fallocate;
pub(crate) mod fault;
pub(crate) mod file_fault;
pub(crate) mod filemap;
pub(crate) mod fork;
pub(crate) mod gather;
pub(crate) mod guest;
pub(crate) mod gup;
pub(crate) mod gup_fast;
pub(crate) mod hole;
pub(crate) mod huge_pmd;
pub(crate) mod hugetlb;
pub(crate) mod ima;
pub(crate) mod ksm;
pub(crate) mod lazyfree;
pub(crate) mod link;
pub(crate) mod machine_check;
pub(crate) mod madvise;
pub(crate) mod mbind;
pub(crate) mod memory_failure;
pub(crate) mod memory_hotplug;
pub(crate) mod mglru;
pub(crate) mod migrate;
pub(crate) mod mincore;
pub(crate) mod mlock;
pub(crate) mod mmap;
pub(crate) mod mmu_notifier;
pub(crate) mod move_page_tables;
pub(crate) mod mprotect;
pub(crate) mod mremap;
pub(crate) mod msync;
pub(crate) mod munmap;
pub(crate) mod neighbours;
pub(crate) mod oom;
pub(crate) mod page_alloc;
pub(crate) mod page_idle;
pub(crate) mod pgtables;
pub(crate) mod populate;
pub(crate) mod proc;
pub(crate) mod readdir;
pub(crate) mod reclaim;
pub(crate) mod remap_file_pages;
pub(crate) mod retract;
pub(crate) mod rmap;
pub(crate) mod rw;
pub(crate) mod shmem;
pub(crate) mod split;
pub(crate) mod stack;
pub(crate) mod swap;
pub(crate) mod take_all_locks;
pub(crate) mod thp;
pub(crate) mod truncate;
pub(crate) mod unlink;
pub(crate) mod unmap_mapping;
pub(crate) mod uprobe;
pub(crate) mod userfaultfd;
pub(crate) mod vm_fault;
pub(crate) mod vma;
pub(crate) mod walk;
pub(crate) mod write_fault;
pub(crate) mod writeback;
pub(crate) mod zap;

pub use madvise::Advice;

/// Why an access fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Nothing is mapped there, or it is read-only.
    Segv,
    /// The page is beyond the end of its file.
    Bus,
    /// No memory, even after reclaim.
    OutOfMemory,
    /// The process has been killed.
    Kill,
}
