//! What is done for operators while the agent runs.

use std::{
    future::Future,
    sync::atomic::{AtomicBool, Ordering},
};

use tokio::sync::RwLock;

/// Work for operators. It ends before the agent lets go of its stores and its
/// journal; whoever asked for it drops it if it takes too long then.
#[derive(Debug, Default)]
pub struct Serving {
    closing: AtomicBool,
    busy: RwLock<()>,
}

impl Serving {
    /// Does the work; `None` if the agent is letting go already.
    ///
    /// Cancel safe if the work is.
    pub async fn work<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let _busy = self.busy.read().await;
        match self.is_closing() {
            true => None,
            false => Some(work.await),
        }
    }

    /// Whether the agent is letting go.
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// Has nothing begin any more, and waits until nothing is under way.
    pub async fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        drop(self.busy.write().await);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::sync::oneshot;

    use super::Serving;

    #[tokio::test]
    async fn what_is_under_way_is_waited_for_and_nothing_begins_any_more() {
        let serving = Serving::default();
        let (finish, finished) = oneshot::channel::<()>();
        let mut work = Box::pin(serving.work(finished));
        assert!(work.as_mut().now_or_never().is_none());
        let mut close = Box::pin(serving.close());
        assert!(close.as_mut().now_or_never().is_none(), "somebody is at work");
        finish.send(()).unwrap();
        assert!(work.await.is_some());
        close.await;
        assert!(serving.work(async {}).await.is_none());
    }
}
