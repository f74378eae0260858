//! What is written down of what an operator wants, in the audit log and in the
//! launcher's own.

use launcher_core::{
    agent::AgentId,
    names::{DeviceId, RoomId, UserId},
};
use tracing::{field::display, info, warn};

use super::Denied;
use crate::{audit::Outcome, server::asker};

/// Whom and what it is about, and nothing of what is said or compared.
pub(super) struct About<'a> {
    pub(super) agent: &'a AgentId,
    pub(super) user: Option<&'a UserId>,
    pub(super) device: Option<&'a DeviceId>,
    /// A room by its alias.
    pub(super) alias: Option<&'a str>,
    pub(super) room: Option<&'a RoomId>,
}

impl<'a> About<'a> {
    /// Something about the agent itself.
    pub(super) fn agent(agent: &'a AgentId) -> Self {
        Self { agent, user: None, device: None, alias: None, room: None }
    }

    fn subjects(&self) -> Vec<&str> {
        let subjects = [
            self.user.map(UserId::as_str),
            self.device.map(DeviceId::as_str),
            self.alias,
            self.room.map(RoomId::as_str),
        ];
        subjects.into_iter().flatten().collect()
    }

    /// Writes down that something begins that may take long: a kill in the
    /// middle leaves nothing else of it.
    pub(super) fn began(&self, action: &'static str) {
        asker::note(action, self.agent.as_str(), &self.subjects(), &Outcome::Began);
    }

    /// Writes down what became of it.
    pub(super) fn noted<T>(
        &self,
        action: &'static str,
        done: Result<T, Denied>,
    ) -> Result<T, Denied> {
        let agent = self.agent.as_str();
        let outcome = match &done {
            Ok(_) => Outcome::Done,
            Err(denied) => Outcome::Refused(denied.to_string()),
        };
        asker::note(action, agent, &self.subjects(), &outcome);
        let (user, device) = (self.user.map(display), self.device.map(display));
        let (alias, room) = (self.alias, self.room.map(display));
        match &done {
            Ok(_) => info!(
                event = "operator_action",
                agent, action, user, device, alias, room, "done for an operator"
            ),
            Err(denied) => warn!(
                event = "operator_action",
                agent,
                action,
                user,
                device,
                alias,
                room,
                reason = %denied,
                "asked for by an operator, and not done"
            ),
        }
        done
    }
}
