//! Parts of the kernel that memory management meets: small models of their locks, each with the operations that meet it.
//!
//! * `console`: printing, and a terminal that allocates.
//! * `cpus`: processors that come and go.
//! * `dma_resv`: buffers that devices share, and what the kernel shows lockdep of them when it boots.
//! * `memcg`: groups of processes whose memory is counted and limited.
//! * `shmlock`: locking shared memory, as far as its counters go.
//! * `trace`: tracing of the mmap lock, down to the scheduler.
//! * `workqueue`: work for every processor.
//! * `zswap`: compressing what would be swapped out.

pub(crate) mod console;
pub(crate) mod cpus;
pub(crate) mod dma_resv;
pub(crate) mod memcg;
pub(crate) mod shmlock;
pub(crate) mod trace;
pub(crate) mod workqueue;
pub(crate) mod zswap;
