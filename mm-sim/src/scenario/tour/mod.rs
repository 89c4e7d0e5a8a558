//! Tours: every operation of a part of memory management a few times, in a fixed order, while others are in the way.
//!
//! They feed the comparison with a running kernel and the mutation campaign.
//!
//! * `address_space`: what system calls do to mappings, and huge pages of anonymous memory.
//! * `copies`: private mappings of files.
//! * `guest`, `userfault`, `movers`, `memory`: who is told of changes, who brings pages in, who moves them, what breaks;
//!   `userfault_huge`: who brings in huge pages, and is told of writes to them; `userfault_changes`: what is filled while it moves.
//! * `huge_swap`: huge pages of anonymous memory, made of what is on the swap device.
//! * `swap`, `shmem`, `shmem_huge`, `hugetlb`: memory and files that are not like others.
//! * `others`: the kernel and other processes reach into the memory of a process.

mod address_space;
mod copies;
mod guest;
mod huge_swap;
mod hugetlb;
mod memory;
mod movers;
mod others;
mod shmem;
mod shmem_huge;
mod swap;
mod userfault;
mod userfault_changes;
mod userfault_huge;

use super::{Expect, Plan, Scenario, checked, pages};

pub(super) use address_space::{CHANGES, HUGE};
pub(super) use copies::TOUR as COPIES;
pub(super) use guest::GUEST;
pub(super) use huge_swap::{GIVEN_UP, TOUR as HUGE_SWAP};
pub(super) use hugetlb::TOUR as HUGETLB;
pub(super) use memory::MEMORY;
pub(super) use movers::MOVERS;
pub(super) use others::OTHERS;
pub(super) use shmem::TOUR as SHMEM;
pub(super) use shmem_huge::TOUR as SHMEM_HUGE;
pub(super) use swap::TOUR as SWAP;
pub(super) use userfault::USERFAULT;
pub(super) use userfault_changes::TOUR as USERFAULT_CHANGES;
pub(super) use userfault_huge::TOUR as USERFAULT_HUGE;
