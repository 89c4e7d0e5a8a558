//! Polls of futures: what may be held where a task is suspended, what may be waited for while it is polled.

use std::{
    future::{Future, poll_fn},
    panic::Location,
    pin::pin,
};

use crate::{WaitType, hooks};

/// Watches the polls of a future: a lock that is acquired in a poll and still held when the task is suspended is reported,
/// unless its class allows it ([`WaitType::Await`], as for the locks of an async runtime).
///
/// A guard of a blocking lock that lives across an await point stops every other task that its thread polls meanwhile,
/// and with them perhaps the one that would wake this one.
///
/// ```
/// # use std::{future::Future, task::{Context, Waker}};
/// use lockdep::{Mutex, watch_future};
///
/// let cache = Mutex::new(0);
/// let task = watch_future(async {
///     *cache.lock() += 1; // let go before anything is awaited
///     std::future::ready(()).await;
/// });
/// # assert!(std::pin::pin!(task).poll(&mut Context::from_waker(Waker::noop())).is_ready());
/// ```
#[track_caller]
pub fn watch_future<F: Future>(future: F) -> impl Future<Output = F::Output> {
    watched(future, WaitType::Any, Location::caller())
}

/// As [`watch_future`], and what needs more than `limit` must not be waited for in a poll: with [`WaitType::Spin`], no
/// lock that blocks the thread.
#[track_caller]
pub fn watch_future_limited<F: Future>(future: F, limit: WaitType) -> impl Future<Output = F::Output> {
    watched(future, limit, Location::caller())
}

async fn watched<F: Future>(future: F, limit: WaitType, site: &'static Location<'static>) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| {
        let poll = hooks::enter_poll(limit, site);
        let polled = future.as_mut().poll(context);
        poll.leave(polled.is_pending());
        polled
    })
    .await
}
