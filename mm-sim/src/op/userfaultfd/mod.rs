//! userfaultfd: user code brings pages in.
//!
//! * [`fault`]: a page fault that has to wait for it.
//! * `register`: which mappings it is for, and the end of it.
//! * `lock`: the VMA locks of its system calls (from 6.9 on; the mmap lock before).
//! * `fill`: `UFFDIO_COPY` and `UFFDIO_ZEROPAGE`; `move_pages`: `UFFDIO_MOVE`; `protect`: `UFFDIO_WRITEPROTECT`.

pub(crate) mod fault;
pub(crate) mod fill;
mod lock;
pub(crate) mod move_pages;
pub(crate) mod protect;
pub(crate) mod register;
