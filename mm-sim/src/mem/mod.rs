//! The data structures of memory management, each with the locks that the kernel gives it.
//!
//! * [`Entry`], [`PageTable`]: page tables as the hardware sees them; [`Slot`]: the place of an entry.
//! * [`Memory`]: physical memory: which frames and tables exist, how much is free (`zone`), where it is (`node`); [`Folio`]:
//!   the unit of data; [`Poison`]: frames that have failed.
//! * [`Tlb`]: what the processors remember of page tables.
//! * [`Lru`]: the lists that reclaim takes folios from.
//! * [`Swap`]: the swap device and the swap cache.
//! * [`Mm`], [`Vma`]: a process's address space; [`Ending`]: who ends it; [`AnonVma`]: the reverse map of anonymous memory.
//! * [`SecondaryMmu`]: a guest's page tables for the memory of a process.
//! * [`Userfaultfd`]: user code that brings pages in.
//! * [`Ksm`]: anonymous pages that are alike and shared; [`Khugepaged`]: processes that want huge pages.
//! * [`Memcg`]: groups whose memory is counted; [`Neighbours`]: the locks of what is no part of memory management.
//! * [`Inode`], [`AddressSpace`]: a file, its cached folios and its mappings; [`Intervals`]: the interval tree.
//! * [`Directory`]: which files have names in it.
//! * [`Buffers`]: what a file system knows of the blocks that a folio holds.
//! * [`Shmem`]: which pages of a file of shared memory are swapped out.
//! * [`SuperBlock`]: what freezing a file system waits for.
//! * [`Wb`]: which files have something to be written.
//! * `hugetlb`: the pool of huge pages and the files made of them.
//! * `rmap`: from a folio to the VMAs that may map it.

mod anon_vma;
mod buffers;
mod directory;
mod ending;
mod entry;
mod folio;
mod hugetlb;
mod inode;
mod intervals;
mod khugepaged;
mod ksm;
mod lru;
mod mapping;
mod memcg;
mod memory;
mod mm;
mod neighbours;
mod node;
mod poison;
mod policy;
pub(crate) mod rmap;
mod sb;
mod secondary_mmu;
mod shmem;
mod slot;
mod split_queue;
pub(crate) mod swap;
mod table;
mod tlb;
mod userfaultfd;
mod vm_flags;
mod vma;
mod wb;
mod zone;

pub(crate) use anon_vma::AnonVma;
pub(crate) use buffers::Buffers;
pub(crate) use directory::{Directory, PARENT};
pub(crate) use ending::Ending;
pub(crate) use entry::{Absent, Entry};
pub(crate) use folio::{Folio, FolioKind, Place};
pub(crate) use hugetlb::{FaultMutexes, HugetlbPool, HugetlbVma, HugetlbVmaGuard, ResvMap, Sema, huge_index};
pub(crate) use inode::{FileSystem, Inode};
pub(crate) use intervals::{Intervals, is_visited_before};
pub(crate) use khugepaged::Khugepaged;
pub(crate) use ksm::{Candidate, Ksm, KsmStable};
pub(crate) use lru::Lru;
pub(crate) use mapping::AddressSpace;
pub(crate) use memcg::Memcg;
pub(crate) use memory::{Memory, OutOfMemory};
pub(crate) use mm::{Mm, MmapWrite};
pub(crate) use neighbours::{Neighbours, Trace};
pub(crate) use node::{NODES, local as local_node};
pub(crate) use poison::Poison;
pub(crate) use policy::Policy;
pub(crate) use sb::SuperBlock;
pub(crate) use secondary_mmu::{SecondaryMmu, Shadow};
pub(crate) use shmem::Shmem;
pub(crate) use slot::Slot;
pub(crate) use split_queue::SplitQueue;
pub(crate) use swap::Swap;
pub(crate) use table::{ENTRIES, Level, PageTable};
pub(crate) use tlb::Tlb;
pub use userfaultfd::Message;
pub(crate) use userfaultfd::{MapChange, Userfaultfd};
pub(crate) use vm_flags::VmFlags;
pub(crate) use vma::{SequenceGuard, Vma, VmaReadGuard};
pub(crate) use wb::Wb;

/// The size of a page and of a table, in bytes.
pub const PAGE_SIZE: u64 = 4096;
/// What one entry of the PMD level covers, in bytes.
pub const PMD_SIZE: u64 = PAGE_SIZE * ENTRIES as u64;
/// What a table of the PMD level covers, in bytes: what processes share of the page tables of hugetlbfs.
pub const PUD_SIZE: u64 = PMD_SIZE * ENTRIES as u64;
/// Pages in a huge folio.
pub(crate) const HUGE_PAGES: u64 = ENTRIES as u64;
