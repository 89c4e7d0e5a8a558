//! Hugetlbfs: files of huge pages, whose page tables processes share.
//!
//! Lock order of the family, under the mmap lock or the VMA lock, or under `i_rwsem` of the file:
//! `hugetlb_fault_mutex -> hugetlb vma_lock (resv_map->rw_sema for a private mapping) -> hugetlbfs i_mmap_rwsem ->
//! folio_lock(hugetlb) -> page_table_lock, pmd_lock -> hugetlb_lock, resv_map->lock`.
//!
//! * `pool`: the pool grows and shrinks; `reserve`: pages are promised, taken and given back.
//! * `mmap`: what a VMA of hugetlbfs is given when it is made, copied or cut, and what is taken from it at its end.
//! * `share`: page tables that several processes use.
//! * `fault`, `wp`: page faults, and the copy on a write; `vm_fault`: what both work on.
//! * `mfill`, `uffd_wp`: user code brings pages in, and is told of writes (userfaultfd).
//! * `unmap`, `protect`, `move_tables`, `copy`: what `munmap`, `mprotect`, `mremap` and `fork` do to the entries.
//! * `file`: truncation, holes and allocation; `migrate`: a page moves to another place of memory;
//!   `memory_failure`: it breaks.

pub(crate) mod copy;
pub(crate) mod fault;
pub(crate) mod file;
pub(crate) mod memory_failure;
pub(crate) mod mfill;
pub(crate) mod migrate;
pub(crate) mod mmap;
pub(crate) mod move_tables;
pub(crate) mod pool;
pub(crate) mod protect;
pub(crate) mod reserve;
pub(crate) mod share;
pub(crate) mod uffd_wp;
pub(crate) mod unmap;
mod vm_fault;
mod wp;
