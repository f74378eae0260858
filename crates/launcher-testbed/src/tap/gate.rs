//! Something that a test opens when it is ready.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Holds requests until it is opened. Cheap to clone; clones are the same gate.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets everything through, from now on.
    pub fn open(&self) {
        *self.lock() = true;
        self.shared.opened.notify_all();
    }

    /// Whether it was opened.
    pub fn is_open(&self) -> bool {
        *self.lock()
    }

    /// Waits until it is opened, and says whether it was within this time.
    pub fn wait(&self, timeout: Duration) -> bool {
        let opened =
            self.shared.opened.wait_timeout_while(self.lock(), timeout, |is_open| !*is_open);
        let (is_open, _) = opened.unwrap_or_else(PoisonError::into_inner);
        *is_open
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.shared.is_open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
