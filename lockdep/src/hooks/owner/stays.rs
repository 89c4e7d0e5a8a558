//! Guards stay with their thread: whoever drops one acquired it.

use std::marker::PhantomData;

use parking_lot::lock_api::GuardNoSend;

use super::api::Holder;

/// The thread that acquired what a guard guards: the one that has the guard.
#[derive(Debug)]
pub(crate) struct Owner(PhantomData<GuardNoSend>);

#[allow(dead_code, reason = "only the hooks of a build with checking ask for it")]
impl Owner {
    #[inline(always)]
    pub(crate) fn current() -> Self {
        Self(PhantomData)
    }

    /// Returns whether it is this thread.
    #[inline(always)]
    pub(crate) fn is_current(&self) -> bool {
        true
    }

    #[inline(always)]
    pub(crate) fn holder(&self) -> Holder {
        Holder::now()
    }
}
