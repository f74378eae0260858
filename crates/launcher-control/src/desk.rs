//! Does for an operator what the control API is asked for.
//!
//! What only looks at an agent leaves it alone. What needs its files holds it:
//! the agent's task ends, the work is done, and the agent starts again however
//! the work ends. Whoever goes away, or outlives a stop of the launcher, has
//! let go of the agent by that.

mod about;
mod acknowledging;
mod outbox;
mod rooms;
mod trust;

use std::{future::Future, path::Path, sync::Arc, time::Duration};

use launcher_core::{
    agent::AgentId,
    secret::{PickleKey, Secret},
    spec::AgentSpec,
    status::{AgentState, Standing},
};
use launcher_runtime::{
    AgentStatus, Held, HoldError, Order, StatusBoard, hold,
    ports::{
        Session,
        archive::{ArchiveSummary, Archives},
        maintenance::{DeviceEntry, Maintenance, MaintenanceError, RetiredStore},
        outbox::OutboxError,
        rooms::RoomsError,
        trust::TrustError,
    },
    stop::Stop,
};
use tokio::sync::{Semaphore, mpsc};
use tracing::{Instrument, info_span};

use self::about::About;
pub use self::acknowledging::Acknowledgements;
use crate::wire::{CheckReply, Grade, Refusal};

/// How long work on a held agent may go on when the launcher is told to stop, and
/// work with a session when its agent is: long enough to finish a step, and well
/// below what is waited for.
const LET_GO: Duration = Duration::from_secs(5);

/// Where operators are served.
#[derive(Clone, Debug)]
pub struct Desk {
    board: StatusBoard,
    orders: mpsc::Sender<Order>,
    maintenance: Arc<dyn Maintenance>,
    archives: Arc<dyn Archives>,
    stop: Stop,
    acknowledgements: Acknowledgements,
    /// A file that is to be sent is in memory, so there is one at a time.
    files: Arc<Semaphore>,
}

/// Why an operator did not get what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The agent is not to be had.
    #[error(transparent)]
    Hold(#[from] HoldError),
    /// The work failed.
    #[error(transparent)]
    Work(#[from] MaintenanceError),
    /// The agent was asked about trust, and did not do it.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The agent was given a message, and did not send it.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// It cannot be done as things are.
    #[error("{reason}")]
    Refused {
        /// Why.
        reason: String,
        /// What helps.
        action: String,
    },
    /// The agent was asked about rooms, and did not do it.
    #[error(transparent)]
    Rooms(#[from] RoomsError),
    /// The agent was told to end in the middle of it.
    #[error("{agent} was stopped before it was done")]
    LetGo {
        /// The agent.
        agent: AgentId,
    },
    /// The agent is not up, so it cannot be asked.
    #[error("{}", self::trust::not_up(agent, standing).reason)]
    NotUp {
        /// The agent.
        agent: AgentId,
        /// Its state, why, and what helps.
        standing: Standing,
    },
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Hold(error) => error.into(),
            Denied::Work(error) => error.into(),
            Denied::Trust(error) => error.into(),
            Denied::Outbox(error) => error.into(),
            Denied::Refused { reason, action } => Self::new(reason, action),
            Denied::Rooms(error) => error.into(),
            Denied::LetGo { ref agent } => {
                let action = format!(
                    "repeat the command when `launcher status` shows {agent} as running; look \
                     first at what was done already"
                );
                Self::new(denied.to_string(), action)
            }
            Denied::NotUp { agent, standing } => trust::not_up(&agent, &standing),
        }
    }
}

impl Desk {
    /// A desk for the agents of one supervisor. `stop` is the supervisor's.
    pub fn new(
        board: StatusBoard,
        orders: mpsc::Sender<Order>,
        maintenance: Arc<dyn Maintenance>,
        archives: Arc<dyn Archives>,
        stop: Stop,
    ) -> Self {
        Self {
            board,
            orders,
            maintenance,
            archives,
            stop,
            acknowledgements: Acknowledgements::default(),
            files: Arc::new(Semaphore::new(1)),
        }
    }

    /// The same desk, which keeps there what operators acknowledge.
    #[must_use]
    pub fn acknowledging(self, acknowledgements: Acknowledgements) -> Self {
        Self { acknowledgements, ..self }
    }

    pub(crate) fn stop(&self) -> Stop {
        self.stop.clone()
    }

    pub(crate) fn statuses(&self) -> Vec<AgentStatus> {
        self.board.snapshot()
    }

    pub(crate) async fn stores(&self, agent: &AgentId) -> Result<Vec<RetiredStore>, Denied> {
        Ok(self.maintenance.stores(&self.spec(agent)?).await?)
    }

    pub(crate) async fn prune_stores(&self, agent: &AgentId) -> Result<Vec<RetiredStore>, Denied> {
        let spec = self.spec(agent)?;
        let work = self.maintenance.prune_stores(&spec);
        self.carry_out(agent, "prune_stores", work).await
    }

    pub(crate) async fn devices(&self, agent: &AgentId) -> Result<Vec<DeviceEntry>, Denied> {
        Ok(self.maintenance.devices(&self.spec(agent)?).await?)
    }

    pub(crate) async fn prune_devices(&self, agent: &AgentId) -> Result<Vec<DeviceEntry>, Denied> {
        let spec = self.spec(agent)?;
        let work = self.maintenance.prune_devices(&spec);
        self.carry_out(agent, "prune_devices", work).await
    }

    /// Everything that was looked at; first the agent's state.
    pub(crate) async fn examine(&self, agent: &AgentId) -> Result<Vec<CheckReply>, Denied> {
        let spec = self.spec(agent)?;
        let status = self.statuses().into_iter().find(|status| status.id == *agent);
        let mut checks: Vec<CheckReply> =
            status.iter().map(|status| state_check(&status.standing)).collect();
        let found = self.maintenance.examine(&spec, Some(self.board.report(agent))).await;
        checks.extend(found.into_iter().map(CheckReply::from));
        Ok(checks)
    }

    pub(crate) async fn reset(
        &self,
        agent: &AgentId,
        password: Option<Secret<String>>,
    ) -> Result<(), Denied> {
        let held = self.hold(agent).await?;
        let work = self.maintenance.reset(held.spec(), password);
        self.carry_out(agent, "reset", work).await
    }

    pub(crate) async fn show_recovery_key(
        &self,
        agent: &AgentId,
    ) -> Result<Secret<String>, Denied> {
        let held = self.hold(agent).await?;
        let work = self.maintenance.show_recovery_key(held.spec());
        self.carry_out(agent, "show_recovery_key", work).await
    }

    pub(crate) async fn set_recovery_key(
        &self,
        agent: &AgentId,
        key: Secret<String>,
    ) -> Result<(), Denied> {
        let held = self.hold(agent).await?;
        let work = self.maintenance.set_recovery_key(held.spec(), key);
        self.carry_out(agent, "set_recovery_key", work).await
    }

    pub(crate) async fn backup(
        &self,
        agent: &AgentId,
        out: &Path,
    ) -> Result<ArchiveSummary, Denied> {
        let held = self.hold(agent).await?;
        let work = self.archives.write(held.spec(), out);
        self.carry_out(agent, "backup", work).await
    }

    pub(crate) async fn restart(&self, agent: &AgentId) -> Result<(), Denied> {
        let held = self.hold(agent).await;
        About::agent(agent).noted("restart", held.map(drop))
    }

    /// Does not hold the agent: a start with the key it has now would end what
    /// this begins.
    pub(crate) async fn begin_rekey(&self, agent: &AgentId, new: &PickleKey) -> Result<(), Denied> {
        let spec = self.spec(agent)?;
        let work = self.maintenance.begin_rekey(&spec, new);
        self.carry_out(agent, "begin_rekey", work).await
    }

    fn spec(&self, agent: &AgentId) -> Result<AgentSpec, Denied> {
        self.board.spec(agent).ok_or_else(|| HoldError::Unknown(agent.clone()).into())
    }

    async fn hold(&self, agent: &AgentId) -> Result<Held, Denied> {
        tokio::select! {
            biased;
            () = self.stop.asked() => Err(HoldError::Stopping.into()),
            held = hold(&self.orders, agent.clone()) => Ok(held?),
        }
    }

    /// Work on an agent's files or its account, which may take long.
    async fn carry_out<T, E: Into<Denied>>(
        &self,
        agent: &AgentId,
        action: &'static str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Denied> {
        let about = About::agent(agent);
        about.began(action);
        about.noted(action, self.in_time(agent, work).await)
    }

    /// Work that a stop of the launcher does not wait for.
    async fn in_time<T, E: Into<Denied>>(
        &self,
        agent: &AgentId,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Denied> {
        let too_late = async {
            self.stop.asked().await;
            tokio::time::sleep(LET_GO).await;
        };
        tokio::select! {
            biased;
            done = work.instrument(info_span!("agent", agent = agent.as_str())) => {
                done.map_err(Into::into)
            }
            () = too_late => Err(HoldError::Stopping.into()),
        }
    }

    /// Work with a session that its agent does not wait for for ever: a session
    /// that outlives its agent has the stores open that the next life opens.
    async fn with_session<T, E: Into<Denied>>(
        &self,
        agent: &AgentId,
        session: &Arc<dyn Session>,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Denied> {
        let report = self.board.report(agent);
        let too_late = async {
            report.let_go(session).await;
            tokio::time::sleep(LET_GO).await;
        };
        tokio::select! {
            biased;
            done = self.in_time(agent, work) => done,
            () = too_late => Err(Denied::LetGo { agent: agent.clone() }),
        }
    }
}

/// An agent's state as the first thing that was looked at.
pub fn state_check(standing: &Standing) -> CheckReply {
    let outcome = match standing.state {
        AgentState::Running => Grade::Good,
        AgentState::Parked | AgentState::Backoff => Grade::Bad,
        AgentState::Starting
        | AgentState::Degraded
        | AgentState::Stopping
        | AgentState::Stopped => Grade::Notable,
    };
    let state = standing.state.as_str();
    let finding = match &standing.reason {
        Some(reason) => format!("{state}: {reason}"),
        None => state.to_owned(),
    };
    CheckReply { name: "state".to_owned(), outcome, finding, action: standing.action.clone() }
}
