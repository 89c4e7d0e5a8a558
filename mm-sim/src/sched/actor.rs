//! What the current thread is in the simulation.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use super::backend::Backend;
use crate::finding::{Finding, Findings, Invariant};

/// The number of an actor within its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ActorId(pub(crate) u32);

impl ActorId {
    /// A thread that is no actor: tests and the code around a run.
    pub(crate) const OUTSIDE: Self = Self(u32::MAX);
}

/// The thread-local half of an actor.
pub(super) struct Actor {
    pub(super) id: ActorId,
    pub(super) name: String,
    pub(super) backend: Arc<dyn Backend>,
    findings: Arc<Findings>,
    path: RefCell<Vec<&'static str>>,
    atomic: Cell<u32>,
    reclaim: Cell<bool>,
}

impl Actor {
    /// Returns the operations the actor is in, outermost first.
    pub(super) fn path_now(&self) -> Vec<&'static str> {
        self.path.borrow().clone()
    }
}

thread_local! {
    static ACTOR: RefCell<Option<Rc<Actor>>> = const { RefCell::new(None) };
}

/// Makes the current thread an actor.
pub(super) fn become_actor(id: ActorId, name: &str, backend: Arc<dyn Backend>, findings: Arc<Findings>) {
    let (path, atomic, reclaim) = Default::default();
    let actor = Actor { id, name: name.to_owned(), backend, findings, path, atomic, reclaim };
    ACTOR.set(Some(Rc::new(actor)));
}

/// Returns what a panic said.
pub(super) fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// Returns the current actor, or `None` on a thread that is none.
pub(super) fn this() -> Option<Rc<Actor>> {
    ACTOR.with_borrow(Option::clone)
}

/// Returns the number of the current actor.
pub(crate) fn current() -> ActorId {
    this().map_or(ActorId::OUTSIDE, |actor| actor.id)
}

/// Records a broken invariant.
///
/// # Panics
///
/// On a thread that is no actor, where nobody would read it.
pub(crate) fn finding(invariant: Invariant, text: String) {
    let Some(actor) = this() else { panic!("{}: {text}", invariant.as_str()) };
    let path = actor.path_now();
    actor.findings.push(Finding { invariant, actor: actor.name.clone(), path, text });
}

/// Returns the operations the current actor is in, such as `munmap > free_pgtables`.
pub(crate) fn path() -> String {
    this().map_or_else(|| "outside".to_owned(), |actor| format!("{}: {}", actor.name, actor.path.borrow().join(" > ")))
}

/// While it lives, the actor is in the named operation.
#[must_use]
pub(crate) struct Scope(());

/// Enters an operation.
pub(crate) fn scope(name: &'static str) -> Scope {
    if let Some(actor) = this() {
        actor.path.borrow_mut().push(name);
    }
    Scope(())
}

impl Drop for Scope {
    fn drop(&mut self) {
        if let Some(actor) = this() {
            actor.path.borrow_mut().pop();
        }
    }
}

/// Records that the actor has taken a spinning lock: it must not sleep.
pub(crate) fn enter_atomic() {
    if let Some(actor) = this() {
        actor.atomic.set(actor.atomic.get() + 1);
    }
}

/// Records that the actor has let go of a spinning lock.
pub(crate) fn leave_atomic() {
    if let Some(actor) = this() {
        actor.atomic.set(actor.atomic.get().saturating_sub(1));
    }
}

/// Returns whether the actor holds a spinning lock.
pub(crate) fn is_atomic() -> bool {
    this().is_some_and(|actor| actor.atomic.get() > 0)
}

/// Returns whether the actor is inside reclaim (the kernel's `PF_MEMALLOC`), where an allocation does not reclaim.
pub(crate) fn in_reclaim() -> bool {
    this().is_some_and(|actor| actor.reclaim.get())
}

/// Enters or leaves reclaim.
pub(crate) fn set_in_reclaim(inside: bool) {
    if let Some(actor) = this() {
        actor.reclaim.set(inside);
    }
}
