//! [`Thread`]: what the runtime keeps for a thread, and whether the thread is inside the runtime.
//!
//! Everything is a cell of its own. While a thread is inside the runtime, `attended` says that it has attended to
//! nothing, and the stack is frozen, which sends whatever it causes meanwhile to `cold`, and that sees that the thread is
//! inside already.

use std::{
    cell::{Cell, RefCell},
    mem::ManuallyDrop,
    sync::Arc,
};

use lockdep_core::{HeldStack, Point, SegmentId};

use super::{proven::Proven, shared::Shared, state, wanted};

/// What the runtime keeps for a thread.
pub(super) struct Thread {
    /// The state that this thread has attended to; [`state::UNSET`] while it is inside the runtime.
    pub(super) attended: Cell<u32>,
    /// The session that its acquisitions go to, if it is not the process's own.
    pub(super) session: RefCell<Option<Arc<Shared>>>,
    /// Its number in reports; 0 until it needs one.
    pub(super) number: Cell<u32>,
    /// The contexts that its stack knows to be watched.
    pub(super) watched: Cell<u64>,
    /// How often everything was called into doubt that its cache knows of.
    pub(super) doubts: Cell<u32>,
    /// Its segment in its session, as far as spawns and joins tell.
    pub(super) segment: Cell<SegmentId>,
    /// How many sessions deep it has entered.
    pub(super) depth: Cell<u32>,
    /// Whether it is inside the runtime, so that what it does is not watched.
    pub(super) inside: Cell<bool>,
    pub(super) held: HeldStack,
    pub(super) proven: Proven,
}

thread_local! {
    // Constant and without a destructor: no initialisation on access, and locks work in the destructors of others.
    static THREAD: ManuallyDrop<Thread> = const {
        ManuallyDrop::new(Thread {
            attended: Cell::new(state::UNSET),
            session: RefCell::new(None),
            number: Cell::new(0),
            watched: Cell::new(0),
            doubts: Cell::new(0),
            segment: Cell::new(SegmentId::UNKNOWN),
            depth: Cell::new(0),
            inside: Cell::new(false),
            held: HeldStack::new(),
            proven: Proven::new(),
        })
    };
}

impl Thread {
    /// Forgets what is proven. As if inside, since giving memory back may take locks.
    pub(super) fn forget_proven(&self) {
        unwatched(|| self.proven.clear());
    }

    /// Adds a point to what it has seen proven, unless the thread is ending, when nobody would give the table back.
    pub(super) fn prove(&self, point: Point) {
        self.proven.insert(point, is_cleaned_up);
    }

    /// Adds a point that is proven for these very locks.
    pub(super) fn prove_exact(&self, exact: Point) {
        self.proven.insert_exact(exact, is_cleaned_up);
    }
}

/// Calls `f` with this thread's account. Small closures only, on the fast path: large ones are not inlined.
#[inline]
pub(super) fn with<R>(f: impl FnOnce(&Thread) -> R) -> R {
    THREAD.with(|thread| f(thread))
}

/// Returns this thread's number in reports; 0 if it has none yet.
#[inline(always)]
pub(crate) fn number() -> u32 {
    with(|thread| thread.number.get())
}

/// Marks a thread as inside the runtime, until it is dropped.
///
/// A signal may arrive between any two steps, and its handler take locks. So the fast path is closed before anything else
/// is, and opened after everything else.
pub(super) struct Inside<'a> {
    thread: &'a Thread,
    /// What it had attended to before.
    pub(super) attended: u32,
}

impl<'a> Inside<'a> {
    /// Returns `None` if the thread is inside already.
    pub(super) fn enter(thread: &'a Thread) -> Option<Self> {
        if thread.inside.replace(true) {
            return None;
        }
        let attended = thread.attended.replace(state::UNSET);
        thread.held.freeze();
        Some(Self { thread, attended })
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        if !wanted::is_on() {
            self.thread.held.thaw();
        }
        self.thread.inside.set(false);
        self.thread.attended.set(if wanted::is_on() { state::UNSET } else { self.attended });
    }
}

/// Runs `f` as if inside the runtime: what it causes is not watched. For whatever takes the locks of the runtime, or
/// allocates under them, on behalf of the program.
pub(crate) fn unwatched<R>(f: impl FnOnce() -> R) -> R {
    with(|thread| {
        let _inside = Inside::enter(thread);
        f()
    })
}

/// Returns whether the tables of this thread will be given back when it ends.
fn is_cleaned_up() -> bool {
    CLEAN_UP.try_with(|_| ()).is_ok()
}

struct CleanUp;

impl Drop for CleanUp {
    fn drop(&mut self) {
        with(Thread::forget_proven);
    }
}

thread_local! {
    static CLEAN_UP: CleanUp = const { CleanUp };
}
