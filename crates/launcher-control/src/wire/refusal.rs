//! How the answer "no" looks, from a running launcher and from a command that
//! works on the files itself.

use launcher_core::fault::Fault;
use launcher_runtime::{HoldError, ports::maintenance::MaintenanceError};
use serde::{Deserialize, Serialize};

/// Why something was not done, and what helps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// Why.
    pub reason: String,
    /// The command or edit that helps, if there is one.
    pub action: Option<String>,
}

impl Refusal {
    /// A refusal with a way out.
    pub fn new(reason: impl Into<String>, action: impl Into<String>) -> Self {
        Self { reason: reason.into(), action: Some(action.into()) }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::new(fault.reason(), fault.action())
    }
}

impl From<MaintenanceError> for Refusal {
    fn from(error: MaintenanceError) -> Self {
        Self::new(error.to_string(), error.action())
    }
}

impl From<HoldError> for Refusal {
    fn from(error: HoldError) -> Self {
        let reason = error.to_string();
        match error {
            HoldError::Unknown(_) => Self::new(
                reason,
                "`launcher status` lists those it runs; `launcher check` says what is wrong with a file",
            ),
            HoldError::Busy(_) => Self::new(reason, "wait until that one is done"),
            HoldError::Fault(fault) => fault.into(),
            HoldError::Stopping => Self::new(reason, "repeat the command when it has stopped"),
        }
    }
}
