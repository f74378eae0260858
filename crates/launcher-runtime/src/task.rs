//! The only place where tasks are made.

use std::{any::Any, future::Future};

use tokio::task::{AbortHandle, JoinSet};

/// Spawns `future` into `set`. Every set is joined by its owner.
pub(crate) fn spawn<T, F>(set: &mut JoinSet<T>, future: F) -> AbortHandle
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    set.spawn(future)
}

/// The text of a panic.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
