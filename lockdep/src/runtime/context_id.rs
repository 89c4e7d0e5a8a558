//! Numbers and names of contexts.

use lockdep_core::ContextId;
use once_cell::{race::OnceNonZeroUsize, sync::Lazy};
use parking_lot::Mutex;

use super::output;
use crate::Context;

/// The names of declared contexts, by index.
static NAMES: Lazy<Mutex<Vec<&'static str>>> = Lazy::new(Default::default);

/// The number of a context.
#[derive(Debug)]
pub(crate) enum ContextCell {
    /// Known from the start.
    Known(ContextId),
    /// Given when it is first used: its index in the table of names, from 1.
    Declared(OnceNonZeroUsize),
}

impl ContextCell {
    pub(crate) const HARDIRQ: Self = Self::Known(ContextId::HARDIRQ);
    pub(crate) const SOFTIRQ: Self = Self::Known(ContextId::SOFTIRQ);
    pub(crate) const SIGNAL: Self = Self::Known(ContextId::SIGNAL);

    pub(crate) const fn new() -> Self {
        Self::Declared(OnceNonZeroUsize::new())
    }

    /// Returns the number; there is none if too many contexts were declared before.
    fn id(&self, name: &'static str) -> Option<ContextId> {
        let cell = match self {
            Self::Known(id) => return Some(*id),
            Self::Declared(cell) => cell,
        };
        let register = || {
            let mut names = NAMES.lock();
            names.push(name);
            if u8::try_from(names.len() - 1).ok().and_then(ContextId::declared).is_none() {
                output::complain(&format!("too many contexts; {name} is not watched"));
            }
            std::num::NonZeroUsize::new(names.len()).expect("one was just pushed")
        };
        let index = cell.get_or_init(register).get() - 1;
        u8::try_from(index).ok().and_then(ContextId::declared)
    }
}

/// Returns the name of a context as reports show it.
pub(super) fn name(context: ContextId) -> String {
    let names = NAMES.lock();
    let declared = (0u8..).zip(&*names).find(|(index, _)| ContextId::declared(*index) == Some(context));
    declared.map_or_else(|| context.to_string(), |(_, name)| (*name).to_owned())
}

/// Returns the number of a context; there is none if too many contexts were declared before.
pub(super) fn id(context: &'static Context) -> Option<ContextId> {
    context.cell().id(context.name())
}
