//! The one place that knows whether checking is compiled in.
//!
//! Two modules with the same items: `on` talks to the runtime, `off` is empty. The rest of the crate calls
//! `hooks::acquire` and has no `cfg` of its own; `api` holds what users see of either. In the same way `owner` knows
//! whether guards can be sent to other threads, that is, whether the feature `send_guard` is on.

#[cfg(not(feature = "enabled"))]
mod off;
#[cfg(feature = "enabled")]
mod on;
#[cfg(not(feature = "send_guard"))]
#[path = "owner/stays.rs"]
mod owner;
#[cfg(feature = "send_guard")]
#[path = "owner/travels.rs"]
mod owner;
#[cfg(feature = "enabled")]
#[path = "../runtime/mod.rs"]
pub(crate) mod runtime;

pub(crate) use api::ENABLED;
#[cfg(not(feature = "enabled"))]
pub(crate) use off::*;
#[cfg(feature = "enabled")]
pub(crate) use on::*;
