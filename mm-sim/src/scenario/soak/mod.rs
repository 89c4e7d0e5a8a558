//! Random operations of several processes: whatever they do, every load reads what the memory model says.
//!
//! * `pages`: on anonymous memory, files and shared memory; `hugetlb`: on huge pages of hugetlbfs.
//! * `user`: what the threads of both have in common.

mod hugetlb;
mod pages;
mod user;

use super::{Expect, Plan, Scenario, checked};

pub(super) use hugetlb::SOAK as HUGETLB;
pub(super) use pages::SOAK as PAGES;
