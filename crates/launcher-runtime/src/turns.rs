//! Turns: who does something that goes one after the other.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// Things by name, each for one at a time.
#[derive(Debug, Default)]
pub struct Turns {
    all: Mutex<BTreeMap<String, Weak<Turn<()>>>>,
}

impl Turns {
    /// Waits for the turn, first come first served. It ends when the guard is dropped.
    ///
    /// Cancel safe: who goes away gives up their place.
    pub async fn take(&self, name: &str) -> OwnedMutexGuard<()> {
        self.turn(name).lock_owned().await
    }

    fn turn(&self, name: &str) -> Arc<Turn<()>> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = all.get(name).and_then(Weak::upgrade) {
            return turn;
        }
        all.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::new(Turn::default());
        all.insert(name.to_owned(), Arc::downgrade(&turn));
        turn
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::Turns;

    #[tokio::test]
    async fn one_at_a_time_by_name_and_nothing_is_left_of_it() {
        let turns = Turns::default();
        let first = turns.take("a").await;
        let mut second = Box::pin(turns.take("a"));
        assert!(second.as_mut().now_or_never().is_none());
        drop(turns.take("b").await);
        drop(first);
        drop(second.await);
        drop(turns.take("c").await);
        assert_eq!(turns.all.lock().unwrap().len(), 1, "those of before are forgotten");
    }
}
