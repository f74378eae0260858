//! What is done for operators while the agent runs.

use std::{
    future::Future,
    sync::atomic::{AtomicBool, Ordering},
};

use tokio::sync::RwLock;

/// Work for operators. All of it has ended before the session lets go of its
/// store.
#[derive(Debug, Default)]
pub(super) struct Serving {
    closing: AtomicBool,
    busy: RwLock<()>,
}

impl Serving {
    /// Does the work; `None` if the session is being closed.
    ///
    /// Cancel safe if the work is.
    pub(super) async fn work<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let _busy = self.busy.read().await;
        match self.is_closing() {
            true => None,
            false => Some(work.await),
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// Has nothing begin any more, and waits for what is under way.
    pub(super) async fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        drop(self.busy.write().await);
    }
}
