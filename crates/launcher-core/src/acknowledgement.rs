//! An operator knows that an agent is parked, and that is all right for now.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    agent::AgentId,
    fleet::Degradation,
    status::{AgentState, Standing},
};

/// What an operator knows of one agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// The code of the reason that was known.
    pub reason: String,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// What the operator noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Acknowledgement {
    /// Whether it is about how the agent stands now.
    pub fn covers(&self, standing: &Standing) -> bool {
        standing.state == AgentState::Parked && standing.reason_code() == Some(&self.reason)
    }

    /// Whether it is of no use any more: the agent came up, was switched off, or
    /// is parked for another reason. One that only starts may park again.
    fn is_over(&self, standing: &Standing) -> bool {
        match standing.state {
            AgentState::Starting | AgentState::Backoff | AgentState::Stopping => false,
            AgentState::Running | AgentState::Degraded | AgentState::Stopped => true,
            AgentState::Parked => !self.covers(standing),
        }
    }
}

/// Drops what is of no use any more; returns whether there was any.
pub fn clear(
    known: &mut BTreeMap<AgentId, Acknowledgement>,
    standings: &BTreeMap<AgentId, Standing>,
) -> bool {
    let before = known.len();
    // An agent without a standing is gone, or not read yet: the first picture has all.
    known.retain(|agent, found| {
        standings.is_empty() || standings.get(agent).is_some_and(|now| !found.is_over(now))
    });
    known.len() < before
}

/// Whether an agent is as its operator wants it: it answers, it is switched off,
/// or it is parked and somebody knows why.
pub fn is_ready(standing: &Standing, known: Option<&Acknowledgement>) -> bool {
    match standing.state {
        AgentState::Running | AgentState::Stopped => true,
        AgentState::Degraded => {
            !standing.reason_code().is_some_and(|code| Degradation::SILENCING.contains(&code))
        }
        AgentState::Starting | AgentState::Backoff | AgentState::Stopping => false,
        AgentState::Parked => known.is_some_and(|known| known.covers(standing)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parked(reason: &str) -> Standing {
        let reason = Some(format!("{reason}: in a sentence"));
        Standing { reason, ..Standing::plain(AgentState::Parked) }
    }

    fn known(reason: &str) -> Acknowledgement {
        Acknowledgement { reason: reason.to_owned(), at_ms: 1, note: None }
    }

    #[test]
    fn a_parked_agent_is_ready_only_if_its_reason_is_known() {
        let standing = parked("token_invalid");
        assert!(!is_ready(&standing, None));
        assert!(!is_ready(&standing, Some(&known("store_locked"))));
        assert!(is_ready(&standing, Some(&known("token_invalid"))));
        for (state, ready) in [
            (AgentState::Running, true),
            (AgentState::Degraded, true),
            (AgentState::Stopped, true),
            (AgentState::Starting, false),
            (AgentState::Backoff, false),
            (AgentState::Stopping, false),
        ] {
            let known = known("token_invalid");
            assert_eq!(is_ready(&Standing::plain(state), Some(&known)), ready, "{state:?}");
        }
    }

    #[test]
    fn who_runs_and_cannot_answer_is_not_ready() {
        let degraded = |reason: &str| Standing {
            reason: Some(format!("{reason}: in a sentence")),
            ..Standing::plain(AgentState::Degraded)
        };
        for code in Degradation::SILENCING {
            assert!(!is_ready(&degraded(code), None), "{code}");
        }
        assert!(is_ready(&degraded("unsigned"), None));
    }

    #[test]
    fn what_is_known_outlives_a_restart_and_nothing_else() {
        let agent: AgentId = "a".parse().unwrap();
        let of = |standing: Standing| BTreeMap::from([(agent.clone(), standing)]);
        for (standing, kept) in [
            (Standing::plain(AgentState::Starting), true),
            (Standing::plain(AgentState::Backoff), true),
            (Standing::plain(AgentState::Stopping), true),
            (parked("token_invalid"), true),
            (parked("store_locked"), false),
            (Standing::plain(AgentState::Running), false),
            (Standing::plain(AgentState::Stopped), false),
        ] {
            let mut all = BTreeMap::from([(agent.clone(), known("token_invalid"))]);
            assert_eq!(clear(&mut all, &of(standing.clone())), !kept, "{standing:?}");
            assert_eq!(all.contains_key(&agent), kept, "{standing:?}");
        }
        let mut all = BTreeMap::from([(agent.clone(), known("token_invalid"))]);
        assert!(!clear(&mut all, &BTreeMap::new()), "the files have not been read yet");
        let other = BTreeMap::from([("b".parse().unwrap(), parked("token_invalid"))]);
        assert!(clear(&mut all, &other), "the agent's folder is gone");
    }
}
