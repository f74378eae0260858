//! Agents of both networks: each call goes where the agent's account is.

use std::sync::Arc;

use async_trait::async_trait;
use launcher_core::{
    fault::Fault,
    secret::{PickleKey, Secret},
    spec::{AgentSpec, Network},
};
use launcher_matrix::{MatrixConnector, MatrixMaintenance};
use launcher_messager::{MessagerConnector, MessagerMaintenance};
use launcher_runtime::{
    Report,
    ports::{
        Connector, Session,
        journal::{Journal, Journals},
        maintenance::{Check, DeviceEntry, Maintenance, MaintenanceError, RetiredStore},
    },
};

/// Connects accounts of both networks.
#[derive(Debug)]
pub(crate) struct Networks {
    matrix: MatrixConnector,
    messager: MessagerConnector,
}

impl Networks {
    /// Needs a runtime only once it connects.
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self { matrix: MatrixConnector::new()?, messager: MessagerConnector::new()? })
    }

    /// What looks after the accounts that this connects.
    pub(crate) fn maintenance(&self, journals: Arc<dyn Journals>) -> Arc<dyn Maintenance> {
        Arc::new(NetworkMaintenance {
            matrix: MatrixMaintenance::new(&self.matrix, journals),
            messager: MessagerMaintenance::new(&self.messager),
        })
    }
}

#[async_trait]
impl Connector for Networks {
    async fn connect(
        &self,
        spec: &AgentSpec,
        report: Arc<Report>,
        journal: Arc<dyn Journal>,
    ) -> Result<Arc<dyn Session>, Fault> {
        match spec.account.network {
            Network::Matrix => self.matrix.connect(spec, report, journal).await,
            Network::Messager => self.messager.connect(spec, report, journal).await,
        }
    }
}

#[derive(Debug)]
struct NetworkMaintenance {
    matrix: MatrixMaintenance,
    messager: MessagerMaintenance,
}

impl NetworkMaintenance {
    fn of(&self, spec: &AgentSpec) -> &dyn Maintenance {
        match spec.account.network {
            Network::Matrix => &self.matrix,
            Network::Messager => &self.messager,
        }
    }
}

#[async_trait]
impl Maintenance for NetworkMaintenance {
    async fn stores(&self, spec: &AgentSpec) -> Result<Vec<RetiredStore>, MaintenanceError> {
        self.of(spec).stores(spec).await
    }

    async fn prune_stores(&self, spec: &AgentSpec) -> Result<Vec<RetiredStore>, MaintenanceError> {
        self.of(spec).prune_stores(spec).await
    }

    async fn devices(&self, spec: &AgentSpec) -> Result<Vec<DeviceEntry>, MaintenanceError> {
        self.of(spec).devices(spec).await
    }

    async fn prune_devices(&self, spec: &AgentSpec) -> Result<Vec<DeviceEntry>, MaintenanceError> {
        self.of(spec).prune_devices(spec).await
    }

    async fn examine(&self, spec: &AgentSpec, report: Option<Arc<Report>>) -> Vec<Check> {
        self.of(spec).examine(spec, report).await
    }

    async fn reset(
        &self,
        spec: &AgentSpec,
        password: Option<Secret<String>>,
    ) -> Result<(), MaintenanceError> {
        self.of(spec).reset(spec, password).await
    }

    async fn show_recovery_key(
        &self,
        spec: &AgentSpec,
    ) -> Result<Secret<String>, MaintenanceError> {
        self.of(spec).show_recovery_key(spec).await
    }

    async fn set_recovery_key(
        &self,
        spec: &AgentSpec,
        key: Secret<String>,
    ) -> Result<(), MaintenanceError> {
        self.of(spec).set_recovery_key(spec, key).await
    }

    async fn begin_rekey(&self, spec: &AgentSpec, new: &PickleKey) -> Result<(), MaintenanceError> {
        self.of(spec).begin_rekey(spec, new).await
    }
}
