//! Threads whose beginning and end lockdep knows: the names of [`std::thread`], and [`fork`] for threads that are spawned
//! in another way.
//!
//! Two threads of which one has ended before the other begins cannot deadlock with each other. Whoever spawns and joins
//! through this module has such findings graded `ordered`, and they do not fail a run. A thread that is spawned here also
//! belongs to the [`Session`](crate::Session) of the one that spawns it, and must hold no lock when it ends.
//!
//! ```
//! use lockdep::{Mutex, thread};
//!
//! let (a, b) = (Mutex::new(0), Mutex::new(0));
//! thread::scope(|scope| {
//!     scope.spawn(|| drop((a.lock(), b.lock()))).join().unwrap();
//!     scope.spawn(|| *a.lock() += 1);
//! });
//! ```

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    thread::{Result, ScopedJoinHandle as StdScopedJoinHandle, Thread},
};

use crate::hooks;

/// Says that this thread is about to spawn another. The first part goes to the new thread, which calls
/// [`begin`](Child::begin); the second stays here, for [`joined`](Parent::joined).
///
/// ```
/// let (child, parent) = lockdep::thread::fork();
/// let handle = std::thread::spawn(move || {
///     let _alive = child.begin();
/// });
/// handle.join().unwrap();
/// parent.joined();
/// ```
pub fn fork() -> (Child, Parent) {
    fork_named(None)
}

fn fork_named(name: Option<&str>) -> (Child, Parent) {
    let (child, end) = hooks::fork(name);
    (Child(child), Parent(end))
}

/// A thread, or a task of a pool, that is about to begin.
#[derive(Debug)]
pub struct Child(hooks::Child);

impl Child {
    /// Says that this thread is the child until the result is dropped. If it was something else before, as in a pool, what
    /// it holds from then does not count meanwhile.
    #[track_caller]
    pub fn begin(self) -> Alive {
        Alive { _alive: self.0.begin() }
    }
}

/// The child lives until this is dropped, on the same thread. A lock that it holds then is reported.
#[must_use = "if unused the child ends at once"]
#[derive(Debug)]
pub struct Alive {
    _alive: hooks::Alive,
}

/// What the thread keeps that spawned a child.
#[derive(Clone, Debug)]
pub struct Parent(hooks::End);

impl Parent {
    /// Says that this thread has waited for the end of the child.
    pub fn joined(&self) {
        hooks::joined(&self.0);
    }
}

/// [`std::thread::spawn`].
///
/// # Panics
///
/// If the system cannot make a thread.
#[track_caller]
pub fn spawn<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Builder::new().spawn(f).expect("failed to spawn thread")
}

/// [`std::thread::Builder`].
#[derive(Debug)]
#[must_use = "a builder spawns nothing by itself"]
pub struct Builder {
    inner: std::thread::Builder,
    name: Option<String>,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// [`std::thread::Builder::new`].
    pub fn new() -> Self {
        Self { inner: std::thread::Builder::new(), name: None }
    }

    /// [`std::thread::Builder::name`].
    pub fn name(self, name: String) -> Self {
        Self { inner: self.inner.name(name.clone()), name: Some(name) }
    }

    /// [`std::thread::Builder::stack_size`], in bytes.
    pub fn stack_size(self, size: usize) -> Self {
        Self { inner: self.inner.stack_size(size), ..self }
    }

    /// [`std::thread::Builder::spawn`].
    ///
    /// # Errors
    ///
    /// If the system cannot make a thread.
    pub fn spawn<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (child, parent) = fork_named(self.name.as_deref());
        let inner = self.inner.spawn(move || {
            let _alive = child.begin();
            f()
        })?;
        Ok(JoinHandle { inner, parent })
    }

    /// [`std::thread::Builder::spawn_scoped`].
    ///
    /// # Errors
    ///
    /// If the system cannot make a thread.
    pub fn spawn_scoped<'scope, F, T>(self, scope: &Scope<'scope, '_>, f: F) -> io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let (child, parent) = fork_named(self.name.as_deref());
        let inner = self.inner.spawn_scoped(scope.inner, move || {
            let _alive = child.begin();
            f()
        })?;
        scope.parents.lock().unwrap_or_else(PoisonError::into_inner).push(parent.clone());
        Ok(ScopedJoinHandle { inner, parent })
    }
}

/// [`std::thread::JoinHandle`].
#[derive(Debug)]
pub struct JoinHandle<T> {
    inner: std::thread::JoinHandle<T>,
    parent: Parent,
}

impl<T> JoinHandle<T> {
    /// [`std::thread::JoinHandle::join`].
    ///
    /// # Errors
    ///
    /// If the thread panicked.
    pub fn join(self) -> Result<T> {
        let result = self.inner.join();
        self.parent.joined();
        result
    }

    /// [`std::thread::JoinHandle::thread`].
    pub fn thread(&self) -> &Thread {
        self.inner.thread()
    }

    /// [`std::thread::JoinHandle::is_finished`].
    pub fn is_finished(&self) -> bool {
        self.inner.is_finished()
    }
}

/// [`std::thread::ScopedJoinHandle`].
#[derive(Debug)]
pub struct ScopedJoinHandle<'scope, T> {
    inner: StdScopedJoinHandle<'scope, T>,
    parent: Parent,
}

impl<T> ScopedJoinHandle<'_, T> {
    /// [`std::thread::ScopedJoinHandle::join`].
    ///
    /// # Errors
    ///
    /// If the thread panicked.
    pub fn join(self) -> Result<T> {
        let result = self.inner.join();
        self.parent.joined();
        result
    }

    /// [`std::thread::ScopedJoinHandle::thread`].
    pub fn thread(&self) -> &Thread {
        self.inner.thread()
    }

    /// [`std::thread::ScopedJoinHandle::is_finished`].
    pub fn is_finished(&self) -> bool {
        self.inner.is_finished()
    }
}

/// [`std::thread::Scope`], by value: clone it to spawn from a thread of the scope.
#[derive(Clone, Debug)]
pub struct Scope<'scope, 'env: 'scope> {
    inner: &'scope std::thread::Scope<'scope, 'env>,
    parents: Arc<Mutex<Vec<Parent>>>,
}

impl<'scope> Scope<'scope, '_> {
    /// [`std::thread::Scope::spawn`].
    ///
    /// # Panics
    ///
    /// If the system cannot make a thread.
    pub fn spawn<F, T>(&self, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        Builder::new().spawn_scoped(self, f).expect("failed to spawn thread")
    }
}

/// [`std::thread::scope`]: all threads of the scope have ended when it returns.
///
/// # Panics
///
/// If a thread of the scope panicked and was not joined.
pub fn scope<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(Scope<'scope, 'env>) -> T,
{
    let parents = Arc::<Mutex<Vec<Parent>>>::default();
    let result = std::thread::scope(|inner| f(Scope { inner, parents: parents.clone() }));
    parents.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(Parent::joined);
    result
}
