//! What is asked and answered about rooms and invitations.

use std::fmt;

use launcher_core::{
    greeting::Membership,
    names::{RoomId, UserId},
};
use launcher_runtime::ports::rooms::{Direct, Invitation, JoinedRoom, MadeRoom, NewRoom};
use serde::{Deserialize, Serialize};

/// The answer to `GET /v1/agents/{id}/invites`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitesReply {
    /// The invitations that wait, oldest first.
    pub invites: Vec<InviteReply>,
}

/// An invitation that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteReply {
    /// The room.
    pub room_id: String,
    /// What it is called, if it says so.
    pub name: Option<String>,
    /// Who invites, if it says so.
    pub inviter: Option<String>,
    /// Whether the room is said to be encrypted.
    pub encrypted: bool,
    /// How many are in it, if the server says so.
    pub joined_members: Option<u64>,
    /// When it was first seen, in milliseconds since 1970.
    pub first_seen_ms: u64,
    /// Why it was not accepted, as a code; none if the agent is about to join.
    pub code: Option<String>,
    /// The same in words; or why joining failed.
    pub reason: Option<String>,
}

/// The body of `POST /v1/agents/{id}/invites`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InviteRequest {
    /// What to do.
    pub action: InviteAction,
    /// The room.
    pub room_id: RoomId,
}

/// What an operator wants done about an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InviteAction {
    /// Join the room.
    Accept,
    /// Decline.
    Reject,
}

/// The answer to `GET /v1/agents/{id}/rooms`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomsReply {
    /// The rooms that the agent is in, by id.
    pub rooms: Vec<RoomReply>,
}

/// A room that the agent is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomReply {
    /// The room.
    pub room_id: String,
    /// What it is called, if it says so.
    pub name: Option<String>,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// How many are in it, the agent included.
    pub joined_members: u64,
    /// How many are invited.
    pub invited_members: u64,
    /// Whether the account calls it a direct chat.
    pub is_direct: bool,
}

/// The body of `POST /v1/agents/{id}/rooms`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoomRequest {
    /// What the room is called.
    pub name: String,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Who is invited.
    #[serde(default)]
    pub invite: Vec<UserId>,
}

/// The answer to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeRoomReply {
    /// The room.
    pub room_id: String,
    /// Who was invited.
    pub invited: Vec<String>,
    /// Who was not.
    pub not_invited: Vec<NotInvitedReply>,
}

/// Somebody who was not invited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotInvitedReply {
    /// The user.
    pub user_id: String,
    /// Why not.
    pub reason: String,
}

/// The body of `POST /v1/agents/{id}/rooms/leave`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaveRequest {
    /// The room.
    pub room_id: RoomId,
}

/// The body of `POST /v1/agents/{id}/direct`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectRequest {
    /// Whom the chat is with.
    pub user_id: UserId,
    /// What is said first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub greeting: Option<String>,
    /// Only says how far the chat is.
    #[serde(default)]
    pub look: bool,
}

impl fmt::Debug for DirectRequest {
    /// Leaves out the greeting, so that it cannot reach a log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("DirectRequest");
        shown.field("user_id", &self.user_id).field("look", &self.look).finish_non_exhaustive()
    }
}

/// How far a direct chat is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectReply {
    /// Whom it is with.
    pub user_id: String,
    /// The room; none while the server may be about to make it for an earlier
    /// request.
    pub room_id: Option<String>,
    /// Whether the room was made by this request.
    pub made: bool,
    /// `absent`, `invited` or `joined`: where the user stands to the room.
    pub membership: MembershipWord,
    /// The user's devices that may have keys.
    pub devices: Vec<String>,
    /// Those that may not.
    pub refused: Vec<RefusedDeviceReply>,
    /// How often the greeting was said.
    pub said: usize,
    /// Whether it is about to be said.
    pub due: bool,
    /// The devices that were sent the greeting's key.
    pub readers: Vec<String>,
}

/// A device that gets no keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedDeviceReply {
    /// The device.
    pub device_id: String,
    /// Why, as a code.
    pub verdict: String,
    /// Why, in words.
    pub reason: String,
}

/// Where somebody stands to a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MembershipWord {
    /// Neither in it nor invited.
    Absent,
    /// Invited.
    Invited,
    /// In it.
    Joined,
}

impl DirectReply {
    /// Whether the user can read the greeting now.
    pub fn is_readable(&self) -> bool {
        self.membership == MembershipWord::Joined && !self.readers.is_empty() && !self.due
    }
}

impl From<Invitation> for InviteReply {
    fn from(invitation: Invitation) -> Self {
        let code = invitation.reason.as_ref().map(|reason| reason.code().to_owned());
        let failed = |trouble| match invitation.gave_up {
            false => format!("joining failed, and is tried again: {trouble}"),
            true => format!("joining failed too often; accept it to try once more: {trouble}"),
        };
        let reason = invitation.reason.map(|reason| reason.to_string());
        Self {
            room_id: invitation.room.to_string(),
            name: invitation.name,
            inviter: invitation.invited.inviter.map(|user| user.to_string()),
            encrypted: invitation.invited.encrypted,
            joined_members: invitation.invited.members,
            first_seen_ms: invitation.first_seen,
            code,
            reason: reason.or_else(|| invitation.trouble.map(failed)),
        }
    }
}

impl From<JoinedRoom> for RoomReply {
    fn from(room: JoinedRoom) -> Self {
        Self {
            room_id: room.room.to_string(),
            name: room.name,
            encrypted: room.encrypted,
            joined_members: room.joined_members,
            invited_members: room.invited_members,
            is_direct: room.direct,
        }
    }
}

impl From<RoomRequest> for NewRoom {
    fn from(request: RoomRequest) -> Self {
        Self { name: request.name, topic: request.topic, invite: request.invite }
    }
}

impl From<MadeRoom> for MadeRoomReply {
    fn from(made: MadeRoom) -> Self {
        let not_invited = |(user, reason): (UserId, String)| NotInvitedReply {
            user_id: user.to_string(),
            reason,
        };
        Self {
            room_id: made.room.to_string(),
            invited: made.invited.iter().map(ToString::to_string).collect(),
            not_invited: made.not_invited.into_iter().map(not_invited).collect(),
        }
    }
}

impl From<Direct> for DirectReply {
    fn from(direct: Direct) -> Self {
        let names = |devices: &std::collections::BTreeSet<launcher_core::names::DeviceId>| {
            devices.iter().map(ToString::to_string).collect()
        };
        Self {
            user_id: direct.user.to_string(),
            room_id: direct.room.map(|room| room.to_string()),
            made: direct.made,
            membership: match direct.membership {
                Membership::Absent => MembershipWord::Absent,
                Membership::Invited => MembershipWord::Invited,
                Membership::Joined => MembershipWord::Joined,
            },
            devices: names(&direct.devices),
            refused: direct
                .refused
                .into_iter()
                .map(|(device, refusal)| RefusedDeviceReply {
                    device_id: device.to_string(),
                    verdict: refusal.code().to_owned(),
                    reason: refusal.to_string(),
                })
                .collect(),
            said: direct.said,
            due: direct.due,
            readers: names(&direct.readers),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_does_not_reach_a_log() {
        let request = DirectRequest {
            user_id: UserId::new("@alice:hs"),
            greeting: Some("hunter2".to_owned()),
            look: false,
        };
        let shown = format!("{request:?}");
        assert!(shown.contains("@alice:hs") && !shown.contains("hunter2"), "{shown}");
    }
}
