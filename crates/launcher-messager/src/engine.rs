//! The machine of a session, where it may block.

use std::sync::{Arc, Mutex, PoisonError};

use launcher_core::fault::Fault;
use tokio::task::spawn_blocking;

use crate::{crypto::Machine, faults, store::StoreError};

/// The machine, until the session is closed. One call at a time: each is a
/// transaction.
#[derive(Clone)]
pub(crate) struct Engine {
    machine: Arc<Mutex<Option<Machine>>>,
}

impl Engine {
    pub(crate) fn new(machine: Machine) -> Self {
        Self { machine: Arc::new(Mutex::new(Some(machine))) }
    }

    /// Has the machine do something. Dropping the future does not undo what has
    /// begun: the transaction may still be committed.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Machine) -> T + Send + 'static,
    ) -> Result<T, Fault> {
        let machine = self.machine.clone();
        let work = move || {
            let mut machine = machine.lock().unwrap_or_else(PoisonError::into_inner);
            machine.as_mut().map(work)
        };
        blocking(work).await?.ok_or_else(|| failed("the session is closed"))
    }

    /// The same with what can only fail because of the store.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Machine) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Fault> {
        self.run(work).await?.map_err(|error| faults::of_store(&error))
    }

    /// Waits for the call that is under way, and closes the store.
    pub(crate) async fn close(&self) {
        let machine = self.machine.clone();
        let close = move || drop(machine.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Err(fault) = blocking(close).await {
            tracing::warn!(%fault, "the crypto store was not closed");
        }
    }
}

/// Does something that blocks. A panic goes on in the caller.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Fault> {
    match spawn_blocking(work).await {
        Ok(done) => Ok(done),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(failed(&error.to_string())),
        },
    }
}

fn failed(detail: &str) -> Fault {
    Fault::StoreFailed { detail: detail.to_owned() }
}
