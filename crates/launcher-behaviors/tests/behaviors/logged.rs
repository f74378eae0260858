//! What is logged while the cases run, of all of them.

use std::{
    io::{self, Write},
    sync::{Mutex, PoisonError},
};

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Begins to keep what is logged.
pub(crate) fn begin() {
    tracing_subscriber::fmt().with_ansi(false).with_writer(|| Log).init();
}

/// Whether this was logged.
pub(crate) fn contains(text: &str) -> bool {
    let log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    String::from_utf8_lossy(&log).contains(text)
}
