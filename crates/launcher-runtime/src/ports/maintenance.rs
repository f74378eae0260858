//! What an operator can ask about an agent's account and files, and do to them.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use launcher_core::{
    fault::Fault,
    secret::{PickleKey, Secret},
    spec::AgentSpec,
};

use crate::report::Report;

/// Looks after the accounts and files of agents.
///
/// Each method works on files and by requests of its own, never through the
/// session of a running agent. Those that say so need the agent at rest: its
/// task ended and its folder locked by this process.
#[async_trait]
pub trait Maintenance: Send + Sync + fmt::Debug {
    /// The crypto stores that were put aside, oldest first.
    async fn stores(&self, spec: &AgentSpec) -> Result<Vec<RetiredStore>, MaintenanceError>;

    /// Removes the stores that were put aside and are not needed any more, for
    /// good; returns them.
    async fn prune_stores(&self, spec: &AgentSpec) -> Result<Vec<RetiredStore>, MaintenanceError>;

    /// All devices of the agent's account, its own first.
    async fn devices(&self, spec: &AgentSpec) -> Result<Vec<DeviceEntry>, MaintenanceError>;

    /// Removes the stale ones from the account; returns them. Needs the password.
    async fn prune_devices(&self, spec: &AgentSpec) -> Result<Vec<DeviceEntry>, MaintenanceError>;

    /// Looks at everything that can be wrong about an agent, and changes nothing.
    /// `report` is that of the running agent.
    async fn examine(&self, spec: &AgentSpec, report: Option<Arc<Report>>) -> Vec<Check>;

    /// Puts the crypto store aside, so that the next start makes a new device.
    /// Needs the agent at rest. An agent without a configured password needs
    /// `password`, which is used once and not kept.
    async fn reset(
        &self,
        spec: &AgentSpec,
        password: Option<Secret<String>>,
    ) -> Result<(), MaintenanceError>;

    /// The recovery key from the vault, once: the second time is refused. Needs
    /// the agent at rest.
    async fn show_recovery_key(&self, spec: &AgentSpec)
    -> Result<Secret<String>, MaintenanceError>;

    /// Checks a recovery key against the account's secret storage and keeps it
    /// in the vault; the next start uses it. Changes nothing on the server.
    /// Needs the agent at rest.
    async fn set_recovery_key(
        &self,
        spec: &AgentSpec,
        key: Secret<String>,
    ) -> Result<(), MaintenanceError>;

    /// Prepares a change of the pickle key: from here on the agent starts with
    /// the old and with the new one, until it was started with the new one,
    /// which is then the only one.
    async fn begin_rekey(&self, spec: &AgentSpec, new: &PickleKey) -> Result<(), MaintenanceError>;
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MaintenanceError {
    /// The agent's account, files or server are not in order.
    #[error("{}", .0.reason())]
    Fault(#[from] Fault),
    /// It cannot or must not be done.
    #[error("{reason}")]
    Refused {
        /// Why.
        reason: String,
        /// What helps.
        action: String,
    },
}

impl MaintenanceError {
    /// What an operator can do about it.
    pub fn action(&self) -> String {
        match self {
            Self::Fault(fault) => fault.action(),
            Self::Refused { action, .. } => action.clone(),
        }
    }
}

/// A crypto store that was put aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetiredStore {
    /// Its folder's name, beside the store's folder.
    pub name: String,
    /// The device it belonged to.
    pub device_id: String,
    /// When it was put aside, in seconds since 1970.
    pub retired: u64,
    /// The size of its files, in bytes.
    pub size: u64,
}

/// A device of an agent's account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceEntry {
    /// Its id.
    pub device_id: String,
    /// What it is called.
    pub name: Option<String>,
    /// When the server last saw it, in milliseconds since 1970.
    pub last_seen: Option<u64>,
    /// Whether it has keys, so that it takes part in encrypted rooms.
    pub has_keys: bool,
    /// Whether the account's owner has signed it.
    pub signed: bool,
    /// Whether it is the agent itself.
    pub own: bool,
    /// Whether it is left over from an earlier life of this agent.
    pub stale: bool,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What, for machines: stable, `snake_case`.
    pub name: &'static str,
    /// How it is.
    pub outcome: Outcome,
    /// What was found, in a sentence.
    pub finding: String,
    /// What helps, if something has to be done.
    pub action: Option<String>,
}

/// How something is that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should be.
    Good,
    /// It could not be looked at, or is not what is best.
    Notable,
    /// Not as it should be.
    Bad,
}
