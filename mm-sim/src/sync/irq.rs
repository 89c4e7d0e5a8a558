//! Hard and soft interrupts: being inside of one, and keeping them out.
//!
//! lockdep knows them as two contexts: what is held while one is enabled may be wanted by its handler on the same
//! processor. Hard interrupts keep soft ones out, not the other way around. That nothing sleeps inside is an invariant of
//! the simulator, not of lockdep.

use lockdep::{Context, Disabled};

use super::{
    id::unowned,
    pseudo::pseudo,
    trace::{Step, Way},
};
use crate::sched;

/// What a trace calls disabled interrupts.
const OFF: &str = "irq_off";

static HARDIRQ: Context = Context::new("hardirq");
static SOFTIRQ: Context = Context::new("softirq");

/// A sort of interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Irq {
    /// By a device.
    Hard,
    /// What is left to do after one, with hard interrupts enabled.
    Soft,
}

impl Irq {
    /// Returns the name that paths show.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Hard => "hardirq",
            Self::Soft => "softirq",
        }
    }
}

/// Tells lockdep that both can come from now on, to any actor of the session.
pub(crate) fn watch_irqs() {
    HARDIRQ.watch();
    SOFTIRQ.watch();
}

/// Runs `handler` as an interrupt of the current actor.
#[track_caller]
pub(crate) fn in_irq(irq: Irq, handler: impl FnOnce()) {
    let _hard = (irq == Irq::Hard).then(|| IrqOff::new(Irq::Hard));
    let _soft = (irq == Irq::Soft).then(|| IrqOff::new(Irq::Soft));
    let _inside = match irq {
        Irq::Hard => HARDIRQ.enter(),
        Irq::Soft => SOFTIRQ.enter(),
    };
    sched::enter_atomic();
    handler();
    sched::leave_atomic();
}

/// Keeps interrupts away from the current actor until it is dropped. It nests.
#[must_use]
pub(crate) struct IrqOff {
    irq: Irq,
    _disabled: Disabled,
}

impl IrqOff {
    /// Disables soft interrupts, and hard ones too if `irq` is that.
    #[track_caller]
    pub(crate) fn new(irq: Irq) -> Self {
        sched::disable_irqs(irq, 1);
        sched::trace(|| pseudo(OFF, Way::Write));
        let disabled = match irq {
            Irq::Hard => HARDIRQ.disable_with(&[&SOFTIRQ]),
            Irq::Soft => SOFTIRQ.disable(),
        };
        Self { irq, _disabled: disabled }
    }
}

impl Drop for IrqOff {
    fn drop(&mut self) {
        sched::disable_irqs(self.irq, -1);
        sched::trace(|| Step::Release(unowned(OFF)));
    }
}
