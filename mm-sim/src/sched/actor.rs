//! What the current thread is in the simulation.

use std::{
    cell::{Cell, RefCell},
    panic::Location,
    rc::Rc,
    sync::Arc,
};

use lockdep::Session;

use super::{backend::Backend, id::ActorId, raised::Interrupts};
use crate::{
    finding::{Finding, Findings, Invariant},
    sync::{Irq, Look, Mutation, Observer, Step, Survey, Twist},
};

/// What all actors of a run share.
#[derive(Clone)]
pub(crate) struct Context {
    /// Where lockdep learns.
    pub(crate) session: Session,
    pub(crate) findings: Arc<Findings>,
    pub(crate) mutation: Arc<Mutation>,
    pub(crate) observer: Arc<Observer>,
    /// Whether the first broken invariant ends the run.
    pub(crate) stops_at_first: bool,
    pub(crate) interrupts: Arc<Interrupts>,
}

impl Context {
    /// Nothing learnt, nothing found, nothing wrong on purpose.
    pub(crate) fn new() -> Self {
        let session = Session::new(lockdep::Policy::Collect);
        Self {
            session,
            findings: Arc::default(),
            mutation: Arc::default(),
            observer: Arc::default(),
            stops_at_first: false,
            interrupts: Arc::default(),
        }
    }
}

/// An acquisition that a mutation has put off, and what does it.
type Deferred = (u64, Box<dyn FnOnce()>);

/// The thread-local half of an actor.
pub(super) struct Actor {
    pub(super) id: ActorId,
    pub(super) name: String,
    pub(super) backend: Arc<dyn Backend>,
    context: Context,
    deferred: RefCell<Vec<Deferred>>,
    path: RefCell<Vec<&'static str>>,
    atomic: Cell<u32>,
    reclaim: Cell<bool>,
    /// How many times hard and soft interrupts are disabled.
    irqs_off: Cell<(u32, u32)>,
}

impl Actor {
    /// Returns whether this interrupt may come now.
    pub(super) fn lets(&self, irq: Irq) -> bool {
        let (hard, soft) = self.irqs_off.get();
        hard == 0 && (irq == Irq::Hard || soft == 0)
    }

    pub(super) fn interrupts(&self) -> &Interrupts {
        &self.context.interrupts
    }

    /// Returns the operations the actor is in, outermost first.
    pub(super) fn path_now(&self) -> Vec<&'static str> {
        self.path.borrow().clone()
    }
}

thread_local! {
    static ACTOR: RefCell<Option<Rc<Actor>>> = const { RefCell::new(None) };
}

/// Makes the current thread an actor.
pub(super) fn become_actor(id: ActorId, name: &str, backend: Arc<dyn Backend>, context: Context) {
    let (deferred, path, atomic, reclaim, irqs_off) = Default::default();
    let actor = Actor { id, name: name.to_owned(), backend, context, deferred, path, atomic, reclaim, irqs_off };
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
    actor.context.findings.push(Finding { invariant, actor: actor.name.clone(), path, text });
    if actor.context.stops_at_first {
        actor.backend.stop();
    }
}

/// Records that something is used without its lock, unless the caller `holds` it: the kernel's `lockdep_assert_held`.
pub(crate) fn must_hold(holds: bool, what: impl FnOnce() -> String) {
    if !holds && !std::thread::panicking() {
        finding(Invariant::UsedUnlocked, what());
    }
}

/// Returns what the run's mutation does to an acquisition.
pub(crate) fn twist(site: &'static Location<'static>) -> Option<Twist> {
    this()?.context.mutation.twist(site)
}

/// Lets the run's survey note something, if there is one.
pub(crate) fn note(what: impl FnOnce(&Survey, ActorId)) {
    if let Some(actor) = this()
        && let Some(survey) = actor.context.observer.survey()
    {
        what(survey, actor.id);
    }
}

/// Lets the run's trace note something, if there is one.
pub(crate) fn trace(step: impl FnOnce() -> Step) {
    if let Some(actor) = this() {
        actor.context.observer.note(actor.id, step);
    }
}

/// Returns whether the run's mutation forgets a look.
pub(crate) fn forgets(look: Look) -> bool {
    this().is_some_and(|actor| actor.context.mutation.forgets(look))
}

/// Puts an acquisition off until the next one. Returns its number.
pub(crate) fn defer(take: Box<dyn FnOnce()>) -> Option<u64> {
    let actor = this()?;
    let mut deferred = actor.deferred.borrow_mut();
    let number = deferred.last().map_or(1, |(number, _)| number + 1);
    deferred.push((number, take));
    Some(number)
}

/// Does what was put off.
pub(crate) fn take_deferred() {
    if let Some(actor) = this() {
        let deferred = actor.deferred.take();
        deferred.into_iter().for_each(|(_, take)| take());
    }
}

/// Drops an acquisition that was put off. Returns whether it had not been done.
pub(crate) fn forget_deferred(number: u64) -> bool {
    this().is_some_and(|actor| {
        let mut deferred = actor.deferred.borrow_mut();
        let before = deferred.len();
        deferred.retain(|(other, _)| *other != number);
        deferred.len() < before
    })
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
        actor.context.observer.note(actor.id, || Step::Enter(name));
    }
    Scope(())
}

impl Drop for Scope {
    fn drop(&mut self) {
        if let Some(actor) = this() {
            actor.path.borrow_mut().pop();
            actor.context.observer.note(actor.id, || Step::Leave);
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

/// Returns whether the actor has disabled all interrupts.
pub(crate) fn has_irqs_off() -> bool {
    this().is_some_and(|actor| actor.irqs_off.get().0 > 0)
}

/// Disables interrupts of this sort for the actor, once more (`by` = 1), or takes one disabling back (`by` = -1).
pub(crate) fn disable_irqs(irq: Irq, by: i32) {
    if let Some(actor) = this() {
        let (hard, soft) = actor.irqs_off.get();
        actor.irqs_off.set(match irq {
            Irq::Hard => (hard.saturating_add_signed(by), soft),
            Irq::Soft => (hard, soft.saturating_add_signed(by)),
        });
    }
}
