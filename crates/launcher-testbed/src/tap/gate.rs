//! Something that a test opens when it is ready.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Holds requests until it is opened. Cheap to clone; clones are the same gate.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    open: Arc<AtomicBool>,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets everything through, from now on.
    pub fn open(&self) {
        self.open.store(true, Ordering::Release);
    }

    /// Whether it was opened.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }
}
