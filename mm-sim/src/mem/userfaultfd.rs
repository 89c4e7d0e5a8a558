//! A userfaultfd: user code that is told of pages that are missing or must not be written, and brings them in itself.
//!
//! Lock order: under the lock of the page fault `-> fault_pending_wqh` to queue, and `fd_wqh` alone to wake those who poll the
//! file; to read a message `fd_wqh -> fault_pending_wqh`; to wake `fault_pending_wqh -> fault_wqh`. Who fills pages holds `map_changing_lock` for
//! reading, so that nothing is filled while mappings are being moved or taken away.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;

use super::PAGE_SIZE;
use crate::{
    classes::{UFFD_FAULT_PENDING_WQH, UFFD_FAULT_WQH, UFFD_FD_WQH, UFFD_MAP_CHANGING_LOCK},
    sched::{self, ActorId},
    sync::{RwSem, SpinGuard, SpinLock, WaitQueue},
};

/// What user code is told: somebody waits for a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// The address of the page.
    pub addr: u64,
    /// It is there, and somebody wants to write to it.
    pub is_protected: bool,
}

/// The kernel's `struct userfaultfd_ctx`.
pub(crate) struct Userfaultfd {
    pub(crate) map_changing_lock: RwSem,
    mmap_changing: AtomicI64,
    is_closed: AtomicBool,
    /// Its wait queues do not keep interrupts out: a bug.
    irqs_on: bool,
    fd_wqh: SpinLock,
    fault_pending_wqh: SpinLock,
    fault_wqh: SpinLock,
    messages: Mutex<VecDeque<Message>>,
    /// Who polls the file, and whether he has been told of a message since; under `fd_wqh`.
    pollers: Mutex<Vec<(ActorId, bool)>>,
    waiting: Arc<WaitQueue>,
}

impl Userfaultfd {
    pub(crate) fn new(id: u64, irqs_on: bool) -> Arc<Self> {
        let owner = ("userfaultfd", id);
        Arc::new(Self {
            map_changing_lock: RwSem::new(&UFFD_MAP_CHANGING_LOCK, owner),
            mmap_changing: AtomicI64::new(0),
            is_closed: AtomicBool::new(false),
            irqs_on,
            fd_wqh: SpinLock::new(&UFFD_FD_WQH, owner),
            fault_pending_wqh: SpinLock::new(&UFFD_FAULT_PENDING_WQH, owner),
            fault_wqh: SpinLock::new(&UFFD_FAULT_WQH, owner),
            messages: Mutex::default(),
            pollers: Mutex::default(),
            waiting: WaitQueue::new(format!("a page that userfaultfd {id} has to bring")),
        })
    }

    /// Queues the current actor and its message. Returns whether anybody is there to read it.
    #[track_caller]
    pub(crate) fn queue(&self, message: Message) -> bool {
        let _pending = self.lock(&self.fault_pending_wqh);
        if self.is_closed.load(Relaxed) {
            return false;
        }
        self.waiting.add(message.addr);
        self.messages().push_back(message);
        true
    }

    /// Takes the current actor out of the queue: it need not wait.
    #[track_caller]
    pub(crate) fn unqueue(&self) {
        let _pending = self.lock(&self.fault_pending_wqh);
        let holds = self.fault_pending_wqh.is_mine();
        sched::must_hold(holds, || "somebody leaves the queue of a userfaultfd without fault_pending_wqh".to_owned());
        self.waiting.remove();
    }

    /// Tells those who poll the file, and sleeps until the page is there. The actor holds nothing.
    pub(crate) fn wait(&self) {
        {
            let _fd = self.lock(&self.fd_wqh);
            self.pollers().iter_mut().for_each(|(_, is_told)| *is_told = true);
        }
        self.waiting.wait();
    }

    /// Returns the next message.
    #[track_caller]
    pub(crate) fn read(&self) -> Option<Message> {
        let _fd = self.lock(&self.fd_wqh);
        let _pending = self.lock(&self.fault_pending_wqh);
        self.messages().pop_front()
    }

    /// Wakes those who wait for a page of a range.
    #[track_caller]
    pub(crate) fn wake(&self, range: &Range<u64>) {
        let _pending = self.lock(&self.fault_pending_wqh);
        self.messages().retain(|message| !range.contains(&message.addr));
        let _read = self.lock(&self.fault_wqh);
        self.waiting.wake(|addr| range.contains(&addr));
    }

    /// Nobody reads messages any more.
    #[track_caller]
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Relaxed);
        self.wake(&(0..u64::MAX));
    }

    /// Locks one of its wait queues. The first of them is waited for in interrupts too, so all of them keep interrupts out.
    #[track_caller]
    fn lock(&self, queue: &SpinLock) -> SpinGuard {
        if self.irqs_on { queue.lock() } else { queue.lock_irq() }
    }

    /// Somebody polls the file: he is on its wait queue while he looks for messages, which is locked under what he has locked
    /// himself. Returns whether there is one.
    pub(crate) fn poll(&self) -> bool {
        let me = sched::current();
        {
            let _fd = self.lock(&self.fd_wqh);
            self.pollers().push((me, false));
        }
        // Without a lock: whoever comes later tells him.
        let any = !self.messages.lock().is_empty();
        let _fd = self.lock(&self.fd_wqh);
        let mut pollers = self.pollers();
        let is_told = pollers.iter().any(|&(poller, is_told)| poller == me && is_told);
        pollers.retain(|&(poller, _)| poller != me);
        any || is_told
    }

    fn pollers(&self) -> parking_lot::MutexGuard<'_, Vec<(ActorId, bool)>> {
        let holds = self.fd_wqh.is_mine();
        sched::must_hold(holds, || "those who poll a userfaultfd are looked at without fd_wqh".to_owned());
        self.pollers.lock()
    }

    fn messages(&self) -> parking_lot::MutexGuard<'_, VecDeque<Message>> {
        let holds = self.fault_pending_wqh.is_mine();
        sched::must_hold(holds, || "the messages of a userfaultfd are used without fault_pending_wqh".to_owned());
        self.messages.lock()
    }

    /// Mappings are being changed from now on; waits for who is filling pages.
    pub(crate) fn begin_change(self: &Arc<Self>) -> MapChange {
        let _changing = self.map_changing_lock.write();
        self.mmap_changing.fetch_add(1, Relaxed);
        MapChange(self.clone())
    }

    /// Returns whether nobody reads messages any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Relaxed)
    }

    /// Returns whether mappings are being changed.
    pub(crate) fn is_changing(&self) -> bool {
        let holds = self.map_changing_lock.is_mine();
        sched::must_hold(holds, || "mappings may begin to change any moment".to_owned());
        self.mmap_changing.load(Relaxed) > 0
    }

    /// Checks that no mapping changes while a page is filled.
    pub(crate) fn check_fill(&self, addr: u64) {
        sched::must_hold(self.map_changing_lock.is_mine(), || {
            format!("page {:#x} is filled without map_changing_lock", addr / PAGE_SIZE)
        });
        sched::must_hold(!self.is_changing(), || {
            format!("page {:#x} is filled while mappings change", addr / PAGE_SIZE)
        });
    }
}

/// While it lives, mappings change, and nobody fills pages.
#[must_use]
pub(crate) struct MapChange(Arc<Userfaultfd>);

impl Drop for MapChange {
    fn drop(&mut self) {
        self.0.mmap_changing.fetch_sub(1, Relaxed);
    }
}
