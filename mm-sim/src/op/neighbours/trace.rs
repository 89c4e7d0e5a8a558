//! Tracing of the mmap lock: whoever takes it says so, with the name of the process's memory group.
//!
//! Lock order: to wake somebody `pi_lock -> rq->lock`. Whoever listens to the trace point has his reader woken, at once if the
//! trace point may wait for `pi_lock`. A switch of processes is traced too, under `rq->lock`: to find out where in its code the
//! process was, `rq->lock -> mmap_lock (read, trylock)`, which is another trace point.
//!
//! The name was written to a buffer of the processor, under `memcg_paths.lock`, and that was held until the listeners had been
//! told: `memcg_paths.lock -> pi_lock` here and `rq->lock -> memcg_paths.lock` there (C4, [`Bug::TracePathUnderLock`]).

use std::sync::Arc;

use crate::{
    Bug,
    machine::Machine,
    mem::{Mm, Trace},
    sched,
};

/// A page fault takes the mmap lock and says so.
#[inline(never)]
pub(crate) fn mmap_read_lock_traced(m: &Machine, mm: &Arc<Mm>) {
    let _mmap = mm.mmap_lock.read();
    trace_mmap_lock_acquire_returned(m, true);
}

/// The processor goes on with another process, and says where in its code the old one was.
#[inline(never)]
pub(crate) fn schedule_traced(m: &Machine, mm: &Arc<Mm>) {
    let _scope = sched::scope("schedule");
    let _rq = m.neighbours.trace.rq.lock_irq();
    if let Some(_mmap) = mm.mmap_lock.try_read() {
        trace_mmap_lock_acquire_returned(m, false);
    }
}

/// Tells the listeners. Under the lock of a run queue nobody can be woken: an interrupt does it later.
#[inline(never)]
fn trace_mmap_lock_acquire_returned(m: &Machine, may_wake: bool) {
    let trace = &m.neighbours.trace;
    let _path = m.protocol.has(Bug::TracePathUnderLock).then(|| trace.memcg_paths.lock_irq());
    if may_wake {
        try_to_wake_up(trace);
    }
}

#[inline(never)]
fn try_to_wake_up(trace: &Trace) {
    let _pi = trace.reader.lock_irq();
    let _rq = trace.rq.lock_irq();
}
