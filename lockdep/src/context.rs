//! [`Context`]: code that can interrupt other code on its thread, such as a signal handler.

use std::{marker::PhantomData, panic::Location};

use crate::{WaitType, hooks};

/// Code that can interrupt other code on its own thread, wherever that is.
///
/// Whoever holds a lock while the context is enabled may be interrupted by it. If what runs inside then waits for that
/// lock, or for one that leads to it, the thread waits for itself. Say where the context begins
/// ([`enter`](Self::enter)), where it cannot begin ([`disable`](Self::disable)), and, as early as possible, that it exists
/// at all ([`watch`](Self::watch)): what is held before counts for nothing.
///
/// ```
/// use lockdep::{Context, Mutex};
///
/// static PAUSE: Context = Context::new("pause of the collector");
///
/// fn main() {
///     PAUSE.watch();
///     let roots = Mutex::new(vec![1]);
///     {
///         let _no_pause = PAUSE.disable();
///         roots.lock().push(2);
///     }
///     let _inside = PAUSE.enter();
///     roots.lock().clear(); // never held while the pause may come
/// }
/// ```
#[derive(Debug)]
pub struct Context {
    name: &'static str,
    limit: WaitType,
    cell: hooks::ContextCell,
}

/// Signal handlers. They count as able to interrupt every thread from [`watch`](Context::watch) on; hold
/// [`disable`](Context::disable) where the signals are blocked.
pub static SIGNAL_HANDLER: Context = Context { name: "signal", limit: WaitType::Any, cell: hooks::ContextCell::SIGNAL };

/// Hardware interrupts, for simulators of kernels. While they are disabled, soft ones cannot happen either.
pub static HARDIRQ: Context = Context { name: "hardirq", limit: WaitType::Config, cell: hooks::ContextCell::HARDIRQ };

/// Software interrupts, for simulators of kernels.
pub static SOFTIRQ: Context = Context { name: "softirq", limit: WaitType::Config, cell: hooks::ContextCell::SOFTIRQ };

impl Context {
    /// Declares a context, in which anything may be waited for. A program can have sixty.
    pub const fn new(name: &'static str) -> Self {
        Self { name, limit: WaitType::Any, cell: hooks::ContextCell::new() }
    }

    /// The same, but what needs more than this must not be waited for inside.
    pub const fn limit(self, limit: WaitType) -> Self {
        Self { limit, ..self }
    }

    /// Returns the name that reports show.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Says that the context can interrupt every thread (of this thread's session) from now on.
    ///
    /// # Panics
    ///
    /// With the policy [`Policy::Panic`](crate::Policy::Panic), if what this thread holds may not be held then.
    #[track_caller]
    pub fn watch(&'static self) {
        hooks::watch(self, Location::caller());
    }

    /// Says that this thread is inside of the context until the result is dropped. The context is disabled inside.
    #[track_caller]
    pub fn enter(&'static self) -> InContext {
        InContext { _inside: hooks::enter(self, Location::caller()), not_send: PhantomData }
    }

    /// Says that the context cannot interrupt this thread until the result is dropped. It nests.
    ///
    /// Dropping the result enables the context for what is held then.
    #[track_caller]
    pub fn disable(&'static self) -> Disabled {
        self.disable_with(&[])
    }

    /// The same for this context and others, in one step.
    #[track_caller]
    pub fn disable_with(&'static self, others: &[&'static Self]) -> Disabled {
        Disabled { _disabled: hooks::disable(self, others, Location::caller()), not_send: PhantomData }
    }

    /// Returns whether this thread is inside of the context, or `None` where nobody knows.
    pub fn is_inside(&'static self) -> Option<bool> {
        hooks::context_state(self).map(|state| state.0)
    }

    /// Returns whether the context can interrupt this thread now: it is watched and not disabled. `None` where nobody
    /// knows.
    pub fn is_enabled(&'static self) -> Option<bool> {
        hooks::context_state(self).map(|state| state.1)
    }

    /// Asserts that this thread is inside of the context. Where nobody knows, it passes.
    ///
    /// # Panics
    ///
    /// If it is not.
    #[track_caller]
    pub fn assert_inside(&'static self) {
        assert!(self.is_inside() != Some(false), "this thread is not inside of the context {}", self.name);
    }

    /// Asserts that the context cannot interrupt this thread. Where nobody knows, it passes.
    ///
    /// # Panics
    ///
    /// If it can.
    #[track_caller]
    pub fn assert_disabled(&'static self) {
        assert!(self.is_enabled() != Some(true), "the context {} can interrupt this thread", self.name);
    }

    #[allow(dead_code, reason = "only the hooks of a build with checking ask for it")]
    pub(crate) const fn cell(&self) -> &hooks::ContextCell {
        &self.cell
    }

    #[allow(dead_code, reason = "only the hooks of a build with checking ask for it")]
    pub(crate) const fn wait_limit(&self) -> WaitType {
        self.limit
    }
}

/// This thread is inside of a [`Context`] until this is dropped.
#[must_use = "if unused the context is left at once"]
#[derive(Debug)]
pub struct InContext {
    _inside: hooks::Inside,
    not_send: PhantomData<*const ()>,
}

/// A [`Context`] cannot interrupt this thread until this is dropped.
#[must_use = "if unused the context is enabled again at once"]
#[derive(Debug)]
pub struct Disabled {
    _disabled: hooks::Disabled,
    not_send: PhantomData<*const ()>,
}
