//! How the answer "no" looks, from a running launcher and from a command that
//! works on the files itself.

use launcher_core::{fault::Fault, trust::OrderRefused};
use launcher_runtime::{
    HoldError,
    ports::{
        maintenance::MaintenanceError, outbox::OutboxError, rooms::RoomsError, trust::TrustError,
    },
};
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

impl From<TrustError> for Refusal {
    fn from(error: TrustError) -> Self {
        match error {
            TrustError::Fault(fault) => fault.into(),
            TrustError::Order(refused) => refused.into(),
            TrustError::Refused { reason, action } => Self::new(reason, action),
        }
    }
}

impl From<OutboxError> for Refusal {
    fn from(error: OutboxError) -> Self {
        let reason = error.to_string();
        match error {
            OutboxError::Fault(fault) => fault.into(),
            OutboxError::Refused { reason, action } => Self::new(reason, action),
            OutboxError::Late { .. } => {
                Self::new(reason, "repeat the command with the same key: it is sent once")
            }
        }
    }
}

impl From<RoomsError> for Refusal {
    fn from(error: RoomsError) -> Self {
        match error {
            RoomsError::Fault(fault) => fault.into(),
            RoomsError::Refused { reason, action } => Self::new(reason, action),
        }
    }
}

impl From<OrderRefused> for Refusal {
    fn from(refused: OrderRefused) -> Self {
        let reason = refused.to_string();
        let action = match refused {
            OrderRefused::NoSuchDevice { known, .. } if known.is_empty() => {
                "none of their devices is known; without a device it is about the user as a whole"
                    .to_owned()
            }
            OrderRefused::NoSuchDevice { known, .. } => {
                format!("those that are known: {}", known.join(", "))
            }
            OrderRefused::UserBlocked { user } => {
                format!("withdraw what was decided about {user} first")
            }
            OrderRefused::NoDevices { user } => {
                format!("wait until the agent shares an encrypted room with {user}")
            }
        };
        Self::new(reason, action)
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
