//! The only place where tasks are made.

use std::future::Future;

use launcher_core::fault::Fault;
use tokio::task::{AbortHandle, JoinSet};

/// Spawns `future` into `set`. Every set is joined by its owner.
pub(crate) fn spawn<T, F>(set: &mut JoinSet<T>, future: F) -> AbortHandle
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    set.spawn(future)
}

/// What is said of a panic. Its text is not: it can quote a message. Its place
/// is in the log.
pub(crate) fn panicked() -> Fault {
    Fault::Panicked { detail: "the log says where, in a line with the message `panic`".to_owned() }
}
