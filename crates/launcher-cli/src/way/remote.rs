//! A launcher runs the agent: it is asked to do the work.

use std::{path::Path, time::Duration};

use async_trait::async_trait;
use launcher_control::{
    client::Client,
    wire::{
        AgentReply, AnswerWord, BackupReply, CheckReply, DeviceReply, Refusal, StoreReply,
        TrustReply, TrustRequest, UserReply, VerificationReply, VerificationRequest,
    },
};
use launcher_core::{
    agent::AgentId,
    secret::{PickleKey, Secret},
};
use tokio::time::sleep;

use super::{Answer, LOOK_EVERY, NOTICE_LIMIT, READY_LIMIT, Way};
use crate::commands::look_until;

/// How often while waiting for the short time in which an agent restarts.
const LOOK_CLOSELY_EVERY: Duration = Duration::from_millis(25);

/// How long the launcher waits for news of a verification before it is asked again.
const NEWS_LIMIT: Duration = Duration::from_secs(20);

/// What is not right about an agent that is ready is told a moment later.
const AFTERTHOUGHT: Duration = Duration::from_millis(500);

/// An agent that a launcher runs.
#[derive(Debug)]
pub(super) struct Remote {
    agent: AgentId,
    client: Client,
    holder: Option<u32>,
}

impl Remote {
    pub(super) fn new(agent: AgentId, client: Client, holder: Option<u32>) -> Self {
        Self { agent, client, holder }
    }

    async fn status(&self) -> Answer<AgentReply> {
        let reply = self.client.status().await?;
        let found = reply.agents.into_iter().find(|agent| agent.id == self.agent.as_str());
        found.ok_or_else(|| {
            let reason = format!("the launcher does not run {} any more", self.agent);
            Refusal::new(reason, "`launcher check` says what is wrong with its file")
        })
    }

    /// Waits until `look` finds something in the agent's status.
    async fn wait<T: Send>(
        &self,
        limit: Duration,
        every: Duration,
        look: impl Fn(AgentReply) -> Option<T> + Send + Sync,
    ) -> Answer<Option<T>> {
        look_until(limit, every, || async { Ok(look(self.status().await?)) }).await
    }
}

#[async_trait]
impl Way for Remote {
    fn describe(&self) -> String {
        match self.holder {
            Some(pid) => format!("asking the launcher that runs {} (process {pid})", self.agent),
            None => format!("asking the launcher that runs {}", self.agent),
        }
    }

    fn runs_on(&self) -> bool {
        true
    }

    async fn stores(&self) -> Answer<Vec<StoreReply>> {
        Ok(self.client.stores(&self.agent).await?)
    }

    async fn prune_stores(&self) -> Answer<Vec<StoreReply>> {
        Ok(self.client.prune_stores(&self.agent).await?)
    }

    async fn devices(&self) -> Answer<Vec<DeviceReply>> {
        Ok(self.client.devices(&self.agent).await?)
    }

    async fn prune_devices(&self) -> Answer<Vec<DeviceReply>> {
        Ok(self.client.prune_devices(&self.agent).await?)
    }

    async fn examine(&self) -> Answer<Vec<CheckReply>> {
        Ok(self.client.examine(&self.agent).await?)
    }

    async fn reset(&self, password: Option<Secret<String>>) -> Answer<()> {
        Ok(self.client.reset(&self.agent, password).await?)
    }

    async fn show_recovery_key(&self) -> Answer<Secret<String>> {
        Ok(self.client.show_recovery_key(&self.agent).await?)
    }

    async fn set_recovery_key(&self, key: Secret<String>) -> Answer<()> {
        Ok(self.client.set_recovery_key(&self.agent, key).await?)
    }

    async fn begin_rekey(&self, new: &PickleKey) -> Answer<()> {
        Ok(self.client.begin_rekey(&self.agent, new).await?)
    }

    async fn backup(&self, out: &Path) -> Answer<BackupReply> {
        Ok(self.client.backup(&self.agent, out).await?)
    }

    async fn trust_users(&self) -> Answer<TrustReply> {
        Ok(self.client.trust(&self.agent).await?)
    }

    async fn trust_order(&self, request: &TrustRequest) -> Answer<UserReply> {
        Ok(self.client.decide(&self.agent, request).await?)
    }

    async fn verifications(&self) -> Answer<Vec<VerificationReply>> {
        Ok(self.client.verifications(&self.agent).await?)
    }

    async fn begin_verification(&self, request: &VerificationRequest) -> Answer<VerificationReply> {
        Ok(self.client.begin_verification(&self.agent, request).await?)
    }

    async fn follow_verification(&self, known: &VerificationReply) -> Answer<VerificationReply> {
        let (number, after) = (known.number, known.revision);
        Ok(self.client.verification(&self.agent, number, after, NEWS_LIMIT).await?)
    }

    async fn answer_verification(
        &self,
        number: u64,
        answer: AnswerWord,
    ) -> Answer<VerificationReply> {
        Ok(self.client.answer_verification(&self.agent, number, answer).await?)
    }

    async fn restart(&self) -> Answer<()> {
        Ok(self.client.restart(&self.agent).await?)
    }

    /// An agent that was held is not shown as ready before it is so again.
    async fn come_up(&self) -> Answer<AgentReply> {
        let settled = |agent: AgentReply| match agent.state.as_str() {
            "running" | "degraded" => Some(Ok(agent)),
            "parked" | "backoff" | "stopped" => Some(Err(Refusal {
                reason: match agent.reason {
                    Some(reason) => {
                        format!("{} is not ready ({}): {reason}", agent.id, agent.state)
                    }
                    None => format!("{} is not ready ({})", agent.id, agent.state),
                },
                action: agent.action,
            })),
            _ => None,
        };
        let Some(settled) = self.wait(READY_LIMIT, LOOK_EVERY, settled).await? else {
            let limit = READY_LIMIT.as_secs();
            return Err(Refusal::new(
                format!("{} was not ready within {limit} s", self.agent),
                "`launcher status` shows how far it is; the launcher's log says more",
            ));
        };
        let agent = settled?;
        if agent.state == "running" && agent.is_signed() == Some(false) {
            sleep(AFTERTHOUGHT).await;
            return self.status().await;
        }
        Ok(agent)
    }

    async fn take_up(&self) -> Answer<Option<AgentReply>> {
        let at_work = |agent: AgentReply| {
            matches!(agent.state.as_str(), "starting" | "stopping").then_some(())
        };
        match self.wait(NOTICE_LIMIT, LOOK_CLOSELY_EVERY, at_work).await? {
            Some(()) => self.come_up().await.map(Some),
            None => Err(Refusal::new(
                format!("the launcher did not start {} anew", self.agent),
                "send it SIGHUP; if it has the variable in its environment, or another --env-file, change it there",
            )),
        }
    }
}
