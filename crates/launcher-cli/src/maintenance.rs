//! What looks after the agents' accounts and files.

use std::sync::Arc;

use async_trait::async_trait;
use launcher_core::{
    secret::{PickleKey, Secret},
    spec::AgentSpec,
};
use launcher_matrix::MatrixConnector;
use launcher_runtime::{
    Report,
    ports::maintenance::{
        Check, DeviceEntry, Maintenance, MaintenanceError, Outcome, RetiredStore,
    },
};

/// Looks after the accounts that this connector connects.
pub(crate) fn maintenance(_connector: &MatrixConnector) -> Arc<dyn Maintenance> {
    Arc::new(Absent)
}

/// Refuses everything.
#[derive(Debug)]
struct Absent;

fn absent<T>() -> Result<T, MaintenanceError> {
    Err(MaintenanceError::Refused {
        reason: "this version cannot do that".to_owned(),
        action: "use a newer version of the launcher".to_owned(),
    })
}

#[async_trait]
impl Maintenance for Absent {
    async fn stores(&self, _: &AgentSpec) -> Result<Vec<RetiredStore>, MaintenanceError> {
        absent()
    }

    async fn prune_stores(&self, _: &AgentSpec) -> Result<Vec<RetiredStore>, MaintenanceError> {
        absent()
    }

    async fn devices(&self, _: &AgentSpec) -> Result<Vec<DeviceEntry>, MaintenanceError> {
        absent()
    }

    async fn prune_devices(&self, _: &AgentSpec) -> Result<Vec<DeviceEntry>, MaintenanceError> {
        absent()
    }

    async fn examine(&self, _: &AgentSpec, _: Option<Arc<Report>>) -> Vec<Check> {
        vec![Check {
            name: "everything",
            outcome: Outcome::Notable,
            finding: "this version cannot look at it".to_owned(),
            action: None,
        }]
    }

    async fn reset(
        &self,
        _: &AgentSpec,
        _: Option<Secret<String>>,
    ) -> Result<(), MaintenanceError> {
        absent()
    }

    async fn show_recovery_key(&self, _: &AgentSpec) -> Result<Secret<String>, MaintenanceError> {
        absent()
    }

    async fn set_recovery_key(
        &self,
        _: &AgentSpec,
        _: Secret<String>,
    ) -> Result<(), MaintenanceError> {
        absent()
    }

    async fn begin_rekey(&self, _: &AgentSpec, _: &PickleKey) -> Result<(), MaintenanceError> {
        absent()
    }
}
