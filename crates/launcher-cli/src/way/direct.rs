//! Nobody runs the agent: the command does the work itself.

mod ledger;

use std::{future::Future, path::Path, sync::Arc};

use async_trait::async_trait;
use launcher_control::{
    audit::{AuditLog, Outcome},
    desk::state_check,
    peer::Peer,
    wire::{
        AgentReply, AnswerWord, BackupReply, CheckReply, DeviceReply, Refusal, StoreReply,
        TrustAction, TrustReply, TrustRequest, UserReply, VerificationReply, VerificationRequest,
    },
};
use launcher_core::{
    names::DeviceId,
    secret::{PickleKey, Secret},
    spec::AgentSpec,
    status::{AgentState, Standing},
};
use launcher_runtime::{Report, locks::Locks, ports::maintenance::MaintenanceError};

use super::{Answer, READY_LIMIT, Tools, Way};

/// An agent that nobody runs.
#[derive(Debug)]
pub(super) struct Direct {
    spec: AgentSpec,
    tools: Arc<Tools>,
    audit: AuditLog,
    /// Keeps launchers away as long as this lives, if the purpose needs it.
    _locks: Locks,
}

impl Direct {
    pub(super) fn new(spec: AgentSpec, own_folder: &Path, tools: Arc<Tools>, locks: Locks) -> Self {
        Self { spec, tools, audit: AuditLog::in_folder(own_folder), _locks: locks }
    }

    fn write_down(&self, action: &str, subjects: &[&str], outcome: &Outcome) {
        self.audit.write(Peer::own(), action, Some(self.spec.id.as_str()), subjects, outcome);
    }

    /// Writes down what became of something that a launcher would write down.
    fn noted<T>(&self, action: &str, subjects: &[&str], done: Answer<T>) -> Answer<T> {
        let outcome = match &done {
            Ok(_) => Outcome::Done,
            Err(refusal) => Outcome::Refused(refusal.reason.clone()),
        };
        self.write_down(action, subjects, &outcome);
        done
    }

    /// Work that may take long is written down when it begins, too.
    async fn carry_out<T>(
        &self,
        action: &str,
        work: impl Future<Output = Result<T, MaintenanceError>> + Send,
    ) -> Answer<T> {
        self.write_down(action, &[], &Outcome::Began);
        self.noted(action, &[], work.await.map_err(Into::into))
    }

    /// It takes two to verify, and both have to be there.
    fn not_alone(&self) -> Refusal {
        let reason =
            format!("no launcher runs {}, and only a running agent verifies", self.spec.id);
        Refusal::new(reason, "start one with `launcher run`")
    }
}

#[async_trait]
impl Way for Direct {
    fn describe(&self) -> String {
        format!("no launcher runs {}; doing it here", self.spec.id)
    }

    fn runs_on(&self) -> bool {
        false
    }

    async fn stores(&self) -> Answer<Vec<StoreReply>> {
        Ok(all(self.tools.maintenance.stores(&self.spec).await?))
    }

    async fn prune_stores(&self) -> Answer<Vec<StoreReply>> {
        let work = self.tools.maintenance.prune_stores(&self.spec);
        Ok(all(self.carry_out("prune_stores", work).await?))
    }

    async fn devices(&self) -> Answer<Vec<DeviceReply>> {
        Ok(all(self.tools.maintenance.devices(&self.spec).await?))
    }

    async fn prune_devices(&self) -> Answer<Vec<DeviceReply>> {
        let work = self.tools.maintenance.prune_devices(&self.spec);
        Ok(all(self.carry_out("prune_devices", work).await?))
    }

    async fn examine(&self) -> Answer<Vec<CheckReply>> {
        let (reason, action) = match self.spec.enabled {
            true => ("no launcher runs it", Some("start one with `launcher run`")),
            false => ("it is switched off in its config.yaml", None),
        };
        let mut checks = vec![state_check(&Standing {
            state: AgentState::Stopped,
            reason: Some(reason.to_owned()),
            action: action.map(str::to_owned),
        })];
        checks.extend(all(self.tools.maintenance.examine(&self.spec, None).await));
        Ok(checks)
    }

    async fn reset(&self, password: Option<Secret<String>>) -> Answer<()> {
        self.carry_out("reset", self.tools.maintenance.reset(&self.spec, password)).await
    }

    async fn show_recovery_key(&self) -> Answer<Secret<String>> {
        self.carry_out("show_recovery_key", self.tools.maintenance.show_recovery_key(&self.spec))
            .await
    }

    async fn set_recovery_key(&self, key: Secret<String>) -> Answer<()> {
        self.carry_out("set_recovery_key", self.tools.maintenance.set_recovery_key(&self.spec, key))
            .await
    }

    async fn begin_rekey(&self, new: &PickleKey) -> Answer<()> {
        self.carry_out("begin_rekey", self.tools.maintenance.begin_rekey(&self.spec, new)).await
    }

    async fn backup(&self, out: &Path) -> Answer<BackupReply> {
        let written = self.carry_out("backup", self.tools.archives.write(&self.spec, out)).await;
        written.map(Into::into)
    }

    async fn trust_users(&self) -> Answer<TrustReply> {
        ledger::users(&self.spec, self.tools.journals.as_ref()).await
    }

    async fn trust_order(&self, request: &TrustRequest) -> Answer<UserReply> {
        let action = match request.action {
            TrustAction::Approve => "trust_approve",
            TrustAction::Block => "trust_block",
            TrustAction::Withdraw => "trust_withdraw",
        };
        let user = Some(request.user.as_str());
        let device = request.device.as_ref().map(DeviceId::as_str);
        let subjects: Vec<&str> = [user, device].into_iter().flatten().collect();
        let done = ledger::carry_out(&self.spec, self.tools.journals.as_ref(), request).await;
        self.noted(action, &subjects, done)
    }

    async fn verifications(&self) -> Answer<Vec<VerificationReply>> {
        Err(self.not_alone())
    }

    async fn begin_verification(&self, _: &VerificationRequest) -> Answer<VerificationReply> {
        Err(self.not_alone())
    }

    async fn follow_verification(&self, _: &VerificationReply) -> Answer<VerificationReply> {
        Err(self.not_alone())
    }

    async fn answer_verification(&self, _: u64, _: AnswerWord) -> Answer<VerificationReply> {
        Err(self.not_alone())
    }

    async fn restart(&self) -> Answer<()> {
        self.noted("restart", &[], Ok(()))
    }

    /// Starts the agent as a launcher would. Messages that arrive meanwhile
    /// are left to the launcher: only [`launcher_runtime::ports::Session::read`]
    /// would take them.
    async fn come_up(&self) -> Answer<AgentReply> {
        let report = Arc::new(Report::default());
        let journal = self.tools.journals.journal(&self.spec);
        let connect = self.tools.connector.connect(&self.spec, report.clone(), journal.clone());
        let session = tokio::time::timeout(READY_LIMIT, connect).await.map_err(|_| {
            let limit = READY_LIMIT.as_secs();
            Refusal::new(
                format!("{} was not ready within {limit} s", self.spec.id),
                format!("`launcher doctor {}`", self.spec.id),
            )
        })??;
        session.close().await;
        journal.end().await?;
        Ok(report.status(&self.spec.id, standing(&report)).into())
    }

    async fn take_up(&self) -> Answer<Option<AgentReply>> {
        Ok(None)
    }
}

fn standing(report: &Report) -> Standing {
    let degradations = report.degradations();
    let first = degradations.borrow().values().next().cloned();
    match first {
        Some(found) => Standing {
            state: AgentState::Degraded,
            reason: Some(found.reason),
            action: Some(found.action),
        },
        None => Standing::plain(AgentState::Running),
    }
}

fn all<T, U: From<T>>(found: Vec<T>) -> Vec<U> {
    found.into_iter().map(U::from).collect()
}
