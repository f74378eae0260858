//! Things that are done one after the other, by name.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// Names, each for one at a time.
#[derive(Debug, Default)]
pub(super) struct Turns {
    all: Mutex<BTreeMap<String, Weak<Turn<()>>>>,
}

impl Turns {
    /// Waits for the turn, first come first served; it ends with the guard.
    ///
    /// Cancel safe: who goes away gives up their place.
    pub(super) async fn take(&self, name: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
            match all.get(name).and_then(Weak::upgrade) {
                Some(turn) => turn,
                None => {
                    all.retain(|_, turn| turn.strong_count() > 0);
                    let turn = Arc::new(Turn::default());
                    all.insert(name.to_owned(), Arc::downgrade(&turn));
                    turn
                }
            }
        };
        turn.lock_owned().await
    }
}
