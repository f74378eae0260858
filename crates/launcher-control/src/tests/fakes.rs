//! What stands in for accounts, sessions, behaviors and maintenance.

use std::{
    future::pending,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use launcher_core::{
    conversation::Message,
    fault::Fault,
    names::{EventId, UserId},
    secret::{PickleKey, Secret},
    spec::{
        Account, AgentSpec, BehaviorSpec, CatchUp, Encryption, InvitePolicy, Network, TrustMode,
        UndecryptablePolicy, VerificationPolicy,
    },
};
use launcher_runtime::{
    Report,
    ports::{
        Answer, Arrivals, Behavior, BehaviorFault, Connector, Notice, Response, SendFault, Session,
        Stage,
        archive::{ArchiveSummary, Archives},
        journal::Journal,
        maintenance::{Check, DeviceEntry, Maintenance, MaintenanceError, Outcome, RetiredStore},
        outbox::Outbox,
        rooms::Rooms,
        trust::Trust,
    },
};

use super::{rooms::Host, sending::Sender, trustee::Trustee};

pub(super) fn spec(id: &str, folder: &Path) -> AgentSpec {
    AgentSpec {
        id: id.parse().unwrap(),
        enabled: true,
        folder: folder.join(id),
        account: Account {
            network: Network::Matrix,
            homeserver: "http://hs.test".parse().unwrap(),
            user_id: format!("@{id}:hs.test"),
            password: None,
            access_token: Some(Secret::new("t".to_owned())),
        },
        encryption: Encryption {
            store_path: folder.join(id).join("data/crypto"),
            pickle_key: Secret::new([7; 32]),
            recovery_key: None,
            trust_mode: TrustMode::Tofu,
        },
        invites: InvitePolicy::default(),
        verification: VerificationPolicy::default(),
        catch_up: CatchUp { max_age: Duration::from_secs(1) },
        undecryptable: UndecryptablePolicy { notice_after: None },
        answer: launcher_core::spec::AnswerPolicy::default(),
        settings: launcher_core::spec::SettingsPolicy::default(),
        rooms: std::collections::BTreeMap::new(),
        behaviors: vec![BehaviorSpec::Echo {
            prefix: String::new(),
            delay: Duration::ZERO,
            files: false,
        }],
    }
}

/// A server that accepts no token, so that agents are parked.
#[derive(Debug)]
pub(super) struct Refuses;

#[async_trait]
impl Connector for Refuses {
    async fn connect(
        &self,
        spec: &AgentSpec,
        _report: Arc<Report>,
        _journal: Arc<dyn Journal>,
    ) -> Result<Arc<dyn Session>, Fault> {
        Err(Fault::TokenInvalid {
            homeserver: spec.account.homeserver.to_string(),
            user: spec.account.user_id.clone(),
            password: false,
        })
    }
}

/// An account that is connected and hears nothing. What operators ask of it goes
/// to the doubles of the tests that are about that.
#[derive(Debug, Default)]
pub(super) struct Connected {
    pub(super) host: Host,
    pub(super) sender: Sender,
    pub(super) trustee: Trustee,
}

#[async_trait]
impl Session for Connected {
    fn own(&self) -> UserId {
        UserId::new("@echo:hs")
    }

    async fn wait(&self) -> Result<(), Fault> {
        pending().await
    }

    async fn read(&self) -> Result<Arrivals, Fault> {
        Ok(Arrivals::default())
    }

    async fn send(&self, _answer: &Answer) -> Result<EventId, SendFault> {
        Ok(EventId::new("$e"))
    }

    async fn send_notice(&self, _notice: &Notice) -> Result<EventId, SendFault> {
        Ok(EventId::new("$e"))
    }

    async fn close(&self) {}

    fn trust(&self) -> Option<&dyn Trust> {
        Some(&self.trustee)
    }

    fn outbox(&self) -> Option<&dyn Outbox> {
        Some(&self.sender)
    }

    fn rooms(&self) -> Option<&dyn Rooms> {
        Some(&self.host)
    }
}

#[derive(Debug)]
pub(super) struct Silent;

#[async_trait]
impl Behavior for Silent {
    async fn on_message(
        &self,
        _message: &Message,
        _stage: &dyn Stage,
    ) -> Result<Option<Response>, BehaviorFault> {
        Ok(None)
    }
}

/// Notes what it is asked for.
#[derive(Debug, Default)]
pub(super) struct Notes {
    taken: Mutex<Vec<String>>,
    refused: Mutex<Option<MaintenanceError>>,
    hangs: AtomicBool,
}

impl Notes {
    pub(super) fn taken(&self) -> Vec<String> {
        self.taken.lock().unwrap().clone()
    }

    /// From here on, changes are refused.
    pub(super) fn refuse(&self, reason: &str, action: &str) {
        let refused =
            MaintenanceError::Refused { reason: reason.to_owned(), action: action.to_owned() };
        *self.refused.lock().unwrap() = Some(refused);
    }

    /// From here on, changes never end.
    pub(super) fn hang(&self) {
        self.hangs.store(true, Ordering::Relaxed);
    }

    pub(super) fn note(&self, what: impl Into<String>) {
        self.taken.lock().unwrap().push(what.into());
    }

    async fn change<T>(&self, what: impl Into<String>, done: T) -> Result<T, MaintenanceError> {
        self.note(what);
        if self.hangs.load(Ordering::Relaxed) {
            pending::<()>().await;
        }
        match self.refused.lock().unwrap().clone() {
            Some(refused) => Err(refused),
            None => Ok(done),
        }
    }
}

fn store() -> RetiredStore {
    RetiredStore {
        name: "crypto.retired-1-OLD".into(),
        device_id: "OLD".into(),
        retired: 1,
        size: 9,
    }
}

fn device() -> DeviceEntry {
    DeviceEntry {
        device_id: "OLD".into(),
        name: None,
        last_seen: Some(5),
        has_keys: true,
        signed: false,
        own: false,
        stale: true,
    }
}

#[async_trait]
impl Maintenance for Notes {
    async fn stores(&self, _spec: &AgentSpec) -> Result<Vec<RetiredStore>, MaintenanceError> {
        self.note("stores");
        Ok(vec![store()])
    }

    async fn prune_stores(&self, _spec: &AgentSpec) -> Result<Vec<RetiredStore>, MaintenanceError> {
        self.change("prune_stores", vec![store()]).await
    }

    async fn devices(&self, _spec: &AgentSpec) -> Result<Vec<DeviceEntry>, MaintenanceError> {
        self.note("devices");
        Ok(vec![device()])
    }

    async fn prune_devices(&self, _spec: &AgentSpec) -> Result<Vec<DeviceEntry>, MaintenanceError> {
        self.change("prune_devices", vec![device()]).await
    }

    async fn examine(&self, _spec: &AgentSpec, report: Option<Arc<Report>>) -> Vec<Check> {
        self.note(format!("examine {}", report.is_some()));
        vec![Check {
            name: "clock",
            outcome: Outcome::Notable,
            finding: "3 s off".into(),
            action: None,
        }]
    }

    async fn reset(
        &self,
        _spec: &AgentSpec,
        password: Option<Secret<String>>,
    ) -> Result<(), MaintenanceError> {
        let password = password.as_ref().map(Secret::expose);
        self.change(format!("reset {password:?}"), ()).await
    }

    async fn show_recovery_key(
        &self,
        _spec: &AgentSpec,
    ) -> Result<Secret<String>, MaintenanceError> {
        self.change("show_recovery_key", Secret::new("shown once".to_owned())).await
    }

    async fn set_recovery_key(
        &self,
        _spec: &AgentSpec,
        key: Secret<String>,
    ) -> Result<(), MaintenanceError> {
        self.change(format!("set_recovery_key {}", key.expose()), ()).await
    }

    async fn begin_rekey(
        &self,
        _spec: &AgentSpec,
        new: &PickleKey,
    ) -> Result<(), MaintenanceError> {
        self.change(format!("begin_rekey {:x}", new.expose()[0]), ()).await
    }
}

#[async_trait]
impl Archives for Notes {
    async fn write(
        &self,
        _spec: &AgentSpec,
        out: &Path,
    ) -> Result<ArchiveSummary, MaintenanceError> {
        let summary = ArchiveSummary { files: 3, size: 99 };
        self.change(format!("backup {}", out.display()), summary).await
    }
}
