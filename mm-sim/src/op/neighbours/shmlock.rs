//! Locking shared memory: a count for the user, and one for the file.
//!
//! Lock order: `info->lock (interrupts off) -> shmlock_user_lock`; `i_pages -> info->lock` where pages of the file are
//! counted under the lock of the tree. `i_pages` is taken by the end of a write, in an interrupt. So everything that it
//! leads to must not be held with interrupts on: R3, [`Bug::ShmlockWithIrqsOn`].

use crate::{Bug, machine::Machine, mem::Inode, sched};

/// `shmctl(SHM_LOCK)`: counts the file as locked.
#[inline(never)]
pub(crate) fn shmem_lock(m: &Machine) {
    let _scope = sched::scope("shmem_lock");
    let own = &m.neighbours.shmlock;
    if m.protocol.has(Bug::ShmlockWithIrqsOn) {
        let _info = own.info.lock_irq();
        let _user = own.user.lock();
    } else {
        // The caller has the mutex of the segment: that is enough.
        let _user = own.user.lock();
    }
}

/// A segment goes: the user has less locked.
#[inline(never)]
pub(crate) fn user_shm_unlock(m: &Machine) {
    let _scope = sched::scope("user_shm_unlock");
    let _user = m.neighbours.shmlock.user.lock();
}

/// Pages of a file are counted while its tree is locked (the kernel's `shmem_charge`, when huge pages come and go).
#[inline(never)]
pub(crate) fn shmem_charge(m: &Machine, file: &Inode) {
    let _scope = sched::scope("shmem_charge");
    let _i_pages = file.mapping.i_pages.lock_irq();
    let _info = m.neighbours.shmlock.info.lock_irq();
}
