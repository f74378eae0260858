//! Trust and verifications: asked of the session that the agent works with.
//!
//! Nothing is held for that. A session is let go of as soon as a call is done:
//! it must not outlive its agent.

use std::{sync::Arc, time::Duration};

use launcher_core::{
    agent::AgentId,
    names::UserId,
    status::{AgentState, Standing},
    trust::{Method, Order},
};
use launcher_runtime::{
    HoldError,
    ports::{
        Session,
        trust::{Partner, Trust, TrustError, Verification, VerificationAnswer},
    },
};
use tokio::time::Instant;

use super::{Denied, Desk, about::About};
use crate::wire::{Refusal, TrustReply, UserReply};

/// How long one look at a verification may keep the session.
const LOOK: Duration = Duration::from_secs(1);

impl Desk {
    pub(crate) async fn trust(&self, agent: &AgentId) -> Result<TrustReply, Denied> {
        let session = self.session(agent)?;
        let spec = self.spec(agent)?;
        let users =
            self.with_session(agent, &session, self.trust_of(agent, &session)?.users()).await?;
        Ok(TrustReply::new(&spec, &users))
    }

    pub(crate) async fn decide(
        &self,
        agent: &AgentId,
        user: &UserId,
        order: &Order,
    ) -> Result<UserReply, Denied> {
        let (action, device) = match order {
            Order::Approve(device) => ("trust_approve", device.as_ref()),
            Order::Block(device) => ("trust_block", device.as_ref()),
            Order::Withdraw => ("trust_withdraw", None),
        };
        let about = About { user: Some(user), device, ..About::agent(agent) };
        let decided = async {
            let session = self.session(agent)?;
            let spec = self.spec(agent)?;
            let work = self.trust_of(agent, &session)?.decide(user, order);
            Ok(UserReply::new(&spec, &self.with_session(agent, &session, work).await?))
        };
        about.noted(action, decided.await)
    }

    pub(crate) async fn verifications(&self, agent: &AgentId) -> Result<Vec<Verification>, Denied> {
        let session = self.session(agent)?;
        let trust = self.trust_of(agent, &session)?;
        self.with_session(agent, &session, async {
            Ok::<_, TrustError>(trust.verifications().await)
        })
        .await
    }

    pub(crate) async fn begin_verification(
        &self,
        agent: &AgentId,
        with: &Partner,
        method: Method,
    ) -> Result<Verification, Denied> {
        let about =
            About { user: Some(&with.user), device: with.device.as_ref(), ..About::agent(agent) };
        let begun = async {
            let session = self.session(agent)?;
            let work = self.trust_of(agent, &session)?.begin_verification(with, method);
            self.with_session(agent, &session, work).await
        };
        about.noted("verification_begin", begun.await)
    }

    /// A verification, as soon as it is later than `after`, or `wait` is over.
    ///
    /// Waits in short looks, so that an agent that ends meanwhile can let go of
    /// its session.
    pub(crate) async fn verification(
        &self,
        agent: &AgentId,
        number: u64,
        after: u64,
        wait: Duration,
    ) -> Result<Verification, Denied> {
        let end = Instant::now() + wait;
        let look = async {
            loop {
                let left = end.saturating_duration_since(Instant::now());
                let session = self.session(agent)?;
                let trust = self.trust_of(agent, &session)?;
                let found = trust.verification(number, after, left.min(LOOK)).await?;
                if found.revision > after || left <= LOOK {
                    return Ok(found);
                }
            }
        };
        tokio::select! {
            biased;
            found = look => found,
            () = self.stop.asked() => Err(HoldError::Stopping.into()),
        }
    }

    pub(crate) async fn answer_verification(
        &self,
        agent: &AgentId,
        number: u64,
        answer: VerificationAnswer,
    ) -> Result<Verification, Denied> {
        let action = match answer {
            VerificationAnswer::Match => "verification_match",
            VerificationAnswer::Mismatch => "verification_mismatch",
            VerificationAnswer::Cancel => "verification_cancel",
        };
        let all = self.verifications(agent).await.unwrap_or_default();
        let with = all.into_iter().find(|verification| verification.number == number);
        let about = About {
            user: with.as_ref().map(|verification| &verification.user),
            device: with.as_ref().and_then(|verification| verification.device.as_ref()),
            ..About::agent(agent)
        };
        let answered = async {
            let session = self.session(agent)?;
            let work = self.trust_of(agent, &session)?.answer_verification(number, answer);
            self.with_session(agent, &session, work).await
        };
        about.noted(action, answered.await)
    }

    pub(super) fn session(&self, agent: &AgentId) -> Result<Arc<dyn Session>, Denied> {
        // One that is switched off, or whose file is broken, has no spec here.
        if self.board.standing(agent).is_none() {
            return Err(HoldError::Unknown(agent.clone()).into());
        }
        self.board.report(agent).session().ok_or_else(|| self.denied(agent))
    }

    fn trust_of<'a>(
        &self,
        agent: &AgentId,
        session: &'a Arc<dyn Session>,
    ) -> Result<&'a dyn Trust, Denied> {
        session.trust().ok_or_else(|| self.denied(agent))
    }

    pub(super) fn denied(&self, agent: &AgentId) -> Denied {
        let status = self.statuses().into_iter().find(|status| status.id == *agent);
        let standing = status.map(|status| status.standing);
        let standing = standing.unwrap_or_else(|| Standing::plain(AgentState::Stopped));
        Denied::NotUp { agent: agent.clone(), standing }
    }
}

/// An agent that nobody can ask about trust, with its state as `status` has it.
pub(super) fn not_up(agent: &AgentId, standing: &Standing) -> Refusal {
    let state = standing.state.as_str();
    let reason = match &standing.reason {
        Some(reason) => format!("{agent} cannot be asked now ({state}): {reason}"),
        None => format!("{agent} cannot be asked now ({state})"),
    };
    let way_out = standing.action.clone().unwrap_or_else(|| match standing.state {
        AgentState::Starting | AgentState::Backoff | AgentState::Stopping => {
            format!("repeat the command when `launcher status` shows {agent} as running")
        }
        AgentState::Stopped => {
            format!("switch it on, with `enabled: true` in the config.yaml of {agent}")
        }
        AgentState::Running | AgentState::Degraded | AgentState::Parked => {
            format!("`launcher doctor {agent}`")
        }
    });
    Refusal::new(reason, way_out)
}
