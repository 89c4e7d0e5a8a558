//! What the guards of contexts, polls and regions carry, and do when they are dropped.

use std::{cell::RefCell, panic::Location};

use lockdep_core::ContextSet;

use super::{contexts, record::Record, state};
use crate::{Context, WaitType};

/// Inside of a context.
#[derive(Debug)]
pub(crate) struct Inside(Option<(&'static Context, &'static Location<'static>)>);

impl Drop for Inside {
    fn drop(&mut self) {
        if let Some((context, site)) = self.0 {
            contexts::leave(context, site);
        }
    }
}

#[track_caller]
pub(crate) fn enter(context: &'static Context, site: &'static Location<'static>) -> Inside {
    Inside(contexts::enter(context, site).then_some((context, site)))
}

#[track_caller]
pub(crate) fn watch(context: &'static Context, site: &'static Location<'static>) {
    contexts::watch(context, site);
}

/// Contexts are disabled.
#[derive(Debug)]
pub(crate) struct Disabled(ContextSet, &'static Location<'static>);

impl Drop for Disabled {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            contexts::enable(self.0, self.1);
        }
    }
}

#[track_caller]
pub(crate) fn disable(
    context: &'static Context,
    others: &[&'static Context],
    site: &'static Location<'static>,
) -> Disabled {
    Disabled(contexts::disable(context, others, site), site)
}

/// One poll of a future.
#[derive(Debug)]
pub(crate) struct Poll {
    site: &'static Location<'static>,
    entered: bool,
}

impl Poll {
    /// The poll has returned.
    #[track_caller]
    pub(crate) fn leave(mut self, suspended: bool) {
        if std::mem::take(&mut self.entered) {
            contexts::leave_poll(suspended, self.site);
        }
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        // Only if the poll panicked.
        if self.entered {
            contexts::leave_poll(false, self.site);
        }
    }
}

#[track_caller]
pub(crate) fn enter_poll(limit: WaitType, site: &'static Location<'static>) -> Poll {
    Poll { site, entered: contexts::enter_poll(limit, site) }
}

thread_local! {
    /// The regions that this thread cannot enter, one entry a bar.
    static BARRED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// A region is barred.
#[derive(Debug)]
pub(crate) struct Bar<'a>(&'a Record);

pub(crate) fn bar(record: &Record) -> Bar<'_> {
    if state::load() != state::OFF {
        let region = record.id().instance();
        let _ = BARRED.try_with(|barred| barred.borrow_mut().push(region));
    }
    Bar(record)
}

impl Drop for Bar<'_> {
    fn drop(&mut self) {
        let _ = BARRED.try_with(|barred| {
            let mut barred = barred.borrow_mut();
            let last = barred.iter().rposition(|region| self.0.known_id().is_some_and(|id| id.instance() == *region));
            last.map(|index| barred.swap_remove(index))
        });
    }
}

pub(crate) fn is_barred(record: &Record) -> bool {
    let Some(id) = record.known_id() else { return false };
    BARRED.try_with(|barred| barred.borrow().contains(&id.instance())).unwrap_or(false)
}
