//! Guards may be sent to other threads, so each knows who acquired what it guards.

use super::api::Holder;

/// The thread that acquired what a guard guards.
#[derive(Debug)]
pub(crate) struct Owner(Holder);

#[allow(dead_code, reason = "only the hooks of a build with checking ask for it")]
impl Owner {
    #[inline(always)]
    pub(crate) fn current() -> Self {
        Self(Holder::now())
    }

    /// Returns whether it is this thread.
    #[inline(always)]
    pub(crate) fn is_current(&self) -> bool {
        self.0 == Holder::now()
    }

    #[inline(always)]
    pub(crate) fn holder(&self) -> Holder {
        self.0
    }
}
