//! How a command gets at an agent.
//!
//! If nobody runs the agent, the command does the work itself, and keeps
//! launchers away meanwhile. If a launcher runs it, that launcher is asked to.
//! Commands see no difference: a [`Way`] is either.

mod direct;
mod remote;

#[cfg(test)]
pub(crate) mod tests;

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use launcher_control::{
    client::{AskError, Client},
    wire::{
        AgentReply, AnswerWord, BackupReply, CheckReply, DeviceReply, Refusal, StatusReply,
        StoreReply, TrustReply, TrustRequest, UserReply, VerificationReply, VerificationRequest,
    },
};
use launcher_core::{
    fault::Fault,
    secret::{PickleKey, Secret},
    spec::AgentSpec,
};
use launcher_journal::SqliteJournals;
use launcher_runtime::{
    locks::{self, Locks},
    ports::{Connector, archive::Archives, journal::Journals, maintenance::Maintenance},
};

use self::{direct::Direct, remote::Remote};
use crate::{archives::AgentArchives, networks::Networks};

/// How long an agent may take to come up before a command stops waiting.
const READY_LIMIT: Duration = Duration::from_secs(120);

/// How long a launcher may take to notice that files have changed: it waits
/// until they are quiet, two seconds at most, and agents may be busy.
pub(crate) const NOTICE_LIMIT: Duration = Duration::from_secs(20);

/// How often the launcher is asked how far it is.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The answer of every [`Way`].
pub(crate) type Answer<T> = Result<T, Refusal>;

/// What can be done with one agent.
#[async_trait]
pub(crate) trait Way: Send + Sync {
    /// Who does the work, for the operator.
    fn describe(&self) -> String;

    /// Whether a launcher goes on with the agent when the work is done.
    fn runs_on(&self) -> bool;

    async fn stores(&self) -> Answer<Vec<StoreReply>>;
    async fn prune_stores(&self) -> Answer<Vec<StoreReply>>;
    async fn devices(&self) -> Answer<Vec<DeviceReply>>;
    async fn prune_devices(&self) -> Answer<Vec<DeviceReply>>;
    async fn examine(&self) -> Answer<Vec<CheckReply>>;
    async fn reset(&self, password: Option<Secret<String>>) -> Answer<()>;
    async fn show_recovery_key(&self) -> Answer<Secret<String>>;
    async fn set_recovery_key(&self, key: Secret<String>) -> Answer<()>;
    async fn begin_rekey(&self, new: &PickleKey) -> Answer<()>;

    /// Writes the agent into a new archive at `out`, an absolute path.
    async fn backup(&self, out: &Path) -> Answer<BackupReply>;

    /// Whom the agent trusts.
    async fn trust_users(&self) -> Answer<TrustReply>;

    /// Decides about a user or a device; returns what is known of the user then.
    async fn trust_order(&self, request: &TrustRequest) -> Answer<UserReply>;

    async fn verifications(&self) -> Answer<Vec<VerificationReply>>;

    /// Takes up a verification, or asks for one.
    async fn begin_verification(&self, request: &VerificationRequest) -> Answer<VerificationReply>;

    /// A verification, as soon as it is later than `known`, or after a while.
    async fn follow_verification(&self, known: &VerificationReply) -> Answer<VerificationReply>;

    async fn answer_verification(
        &self,
        number: u64,
        answer: AnswerWord,
    ) -> Answer<VerificationReply>;

    /// Ends what runs of the agent, so that [`Self::come_up`] sees a new start.
    async fn restart(&self) -> Answer<()>;

    /// Waits until the agent is ready after a change; an agent that nobody runs
    /// is started once, and ended again without looking at a message.
    ///
    /// # Errors
    ///
    /// Why it did not become ready, and what helps.
    async fn come_up(&self) -> Answer<AgentReply>;

    /// Waits until a launcher that runs the agent has taken up a change of the
    /// files, and the agent is ready again. `None` if no launcher runs it.
    async fn take_up(&self) -> Answer<Option<AgentReply>>;
}

/// What a command wants with an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To look at it, which disturbs nobody.
    Look,
    /// To change something, which keeps others away.
    Change,
}

/// What the work is done with if the command does it itself.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) journals: Arc<dyn Journals>,
    pub(crate) maintenance: Arc<dyn Maintenance>,
    pub(crate) archives: Arc<dyn Archives>,
}

impl Tools {
    /// The same as those of `launcher run`.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let networks = Networks::new()?;
        let journals: Arc<dyn Journals> = Arc::new(SqliteJournals::default());
        Ok(Self {
            maintenance: networks.maintenance(journals.clone()),
            archives: Arc::new(AgentArchives),
            connector: Arc::new(networks),
            journals,
        })
    }
}

/// Finds the way to an agent. `own_folder` is that of a launcher on the same
/// configuration.
///
/// A launcher is asked first: trying a lock that it is about to take would park
/// the agent.
pub(crate) async fn find(
    spec: &AgentSpec,
    own_folder: &Path,
    tools: &Arc<Tools>,
    purpose: Purpose,
) -> Answer<Box<dyn Way>> {
    let client = Client::new(own_folder);
    let asked = client.status().await;
    let runs_it = |agent: &AgentReply| agent.id == spec.id.as_str() && agent.state != "stopped";
    if asked.as_ref().is_ok_and(|reply| reply.agents.iter().any(runs_it)) {
        let holder = locks::holder(&spec.data_folder());
        return Ok(Box::new(Remote::new(spec.id.clone(), client, holder)));
    }
    // Looking must not make folders, least of all ones that belong to somebody else.
    let untouched = purpose == Purpose::Look && !spec.data_folder().exists();
    let locks = Locks::default();
    let locked = if untouched { Ok(()) } else { locks.acquire(spec) };
    match (locked, asked) {
        (Ok(()), _) => {
            if purpose == Purpose::Look {
                locks.release(&spec.id);
            }
            Ok(Box::new(Direct::new(spec.clone(), own_folder, tools.clone(), locks)))
        }
        (Err(Fault::StoreLocked { path }), asked) => Err(strange(spec, &path, asked)),
        (Err(fault), _) => Err(fault.into()),
    }
}

/// Somebody has the agent whom nobody can ask.
fn strange(spec: &AgentSpec, held: &Path, asked: Result<StatusReply, AskError>) -> Refusal {
    let what = match asked {
        Ok(_) => "and the launcher on this configuration does not run it",
        Err(AskError::NotRunning { .. }) => "which is no launcher on this configuration",
        Err(error) => return error.into(),
    };
    let by = match locks::holder(held) {
        Some(pid) => format!("process {pid}"),
        None => "another process".to_owned(),
    };
    Refusal::new(
        format!("{} is held by {by}, {what}", spec.id),
        "wait if that is another command; else stop it, or give its configuration with --config",
    )
}
