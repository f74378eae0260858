//! Rooms, and what is said about who is in them.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::{
    Client, ClientError,
    error::found,
    wire::{Elements, Moment, element, lenient, short},
};
use crate::crypto::{AccountId, RoomId};

/// A room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// Its id.
    pub id: RoomId,
    /// What people call it; direct chats have no name.
    pub name: Option<String>,
    /// Whether it is a group.
    pub kind: RoomKind,
    /// How it is encrypted, as the server says.
    pub mode: Mode,
    /// Who owns it.
    pub owner: AccountId,
    /// Of a direct chat the other members, whatever their state; of a group none.
    pub others: Vec<Member>,
}

/// What a room is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomKind {
    /// Any number of people: 0.
    Group,
    /// Two people: 1.
    Direct,
}

/// How a room is encrypted: `encryption_mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Not at all: 0.
    Plain,
    /// For two people: 1.
    Direct,
    /// With a session of each sender: 2.
    SenderKeys,
    /// In a way that is not known here.
    Unknown(i64),
}

/// How a new direct chat is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direct {
    /// Not at all.
    Plain,
    /// End to end.
    Encrypted,
}

/// How a new group is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Not at all.
    Plain,
    /// End to end.
    Encrypted,
}

/// An account in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The account.
    pub account: AccountId,
    /// What the account is found by.
    pub name: String,
    /// Whether it is in the room.
    pub state: MemberState,
    /// Until when it may not write there, in milliseconds since 1970, if it was
    /// told not to.
    pub silent_until: Option<u64>,
}

/// Whether an account is in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// It was invited and did not answer.
    Invited,
    /// It is in it.
    Active,
    /// It left, or was removed.
    Left,
}

/// An invitation of this account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    /// Where to.
    pub room: Room,
    /// Who invites, if the server says.
    pub by: Option<AccountId>,
}

#[derive(Deserialize)]
pub(super) struct RoomWire {
    id: RoomId,
    name: Option<String>,
    #[serde(rename = "type")]
    kind: i64,
    encryption_mode: i64,
    account_id: AccountId,
    members: Option<Vec<MemberWire>>,
}

/// A membership, as it stands in rows, too.
#[derive(Deserialize)]
pub(super) struct MemberWire {
    pub(super) account_id: AccountId,
    #[serde(default, deserialize_with = "lenient")]
    account: Option<AccountWire>,
    joined_at: Option<Moment>,
    leave_at: Option<Moment>,
    #[serde(default, deserialize_with = "lenient")]
    timeout_until: Option<Moment>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) invited_by_id: Option<AccountId>,
    pub(super) chat_room: Option<RoomWire>,
}

#[derive(Deserialize)]
struct AccountWire {
    name: String,
}

impl Mode {
    /// Whether the server says that what is written there is encrypted.
    pub fn is_encrypted(self) -> bool {
        self != Self::Plain
    }
}

impl MemberWire {
    /// What the account is found by; its id if the server does not say.
    pub(super) fn name(&self) -> String {
        let id = || self.account_id.to_string();
        self.account.as_ref().map_or_else(id, |account| short(&account.name))
    }
}

impl From<MemberWire> for Member {
    fn from(wire: MemberWire) -> Self {
        let state = match (wire.joined_at, wire.leave_at) {
            (_, Some(_)) => MemberState::Left,
            (Some(_), None) => MemberState::Active,
            (None, None) => MemberState::Invited,
        };
        let silent_until = wire.timeout_until.map(|until| until.0);
        Self { account: wire.account_id, name: wire.name(), state, silent_until }
    }
}

impl From<RoomWire> for Room {
    fn from(wire: RoomWire) -> Self {
        Self {
            id: wire.id,
            name: wire.name.as_deref().map(short),
            kind: if wire.kind == 1 { RoomKind::Direct } else { RoomKind::Group },
            mode: match wire.encryption_mode {
                0 => Mode::Plain,
                1 => Mode::Direct,
                2 => Mode::SenderKeys,
                other => Mode::Unknown(other),
            },
            owner: wire.account_id,
            others: wire.members.into_iter().flatten().map(Member::from).collect(),
        }
    }
}

impl Client {
    /// The rooms that this account is in, but for those that cannot be read.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn rooms(&self) -> Result<Vec<Room>, ClientError> {
        let rooms: Elements = self.get(&["api", "chat"]).await?;
        let rooms = rooms.iter().filter_map(|room| element::<RoomWire>(room));
        Ok(rooms.map(Room::from).collect())
    }

    /// A room, whether this account is in it or not; `None` if there is none.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn room(&self, room: RoomId) -> Result<Option<Room>, ClientError> {
        let answer: Result<RoomWire, ClientError> =
            self.get(&["api", "chat", &room.to_string()]).await;
        Ok(found(answer)?.map(Room::from))
    }

    /// Makes a group with this account in it.
    ///
    /// # Errors
    ///
    /// See [`ClientError`]. Asked again, it makes another one.
    pub async fn create_group(&self, name: &str, group: Group) -> Result<Room, ClientError> {
        let mode = if group == Group::Encrypted { 2 } else { 0 };
        let body = json!({ "name": name, "encryption_mode": mode });
        let room: RoomWire = self.send(Method::POST, &["api", "chat"], &body).await?;
        Ok(room.into())
    }

    /// Makes a direct chat and invites the other.
    ///
    /// # Errors
    ///
    /// See [`ClientError`]. Refused with 400 if there is one of that mode.
    pub async fn create_direct(
        &self,
        account: AccountId,
        direct: Direct,
    ) -> Result<Room, ClientError> {
        let mode = if direct == Direct::Encrypted { 1 } else { 0 };
        let body = json!({ "related_user_id": account, "encryption_mode": mode });
        let room: RoomWire = self.send(Method::POST, &["api", "chat", "direct"], &body).await?;
        Ok(room.into())
    }

    /// Turns a room's encryption on, for ever.
    ///
    /// # Errors
    ///
    /// See [`ClientError`]; refused by `chat.e2ee_already_enabled` if it is on.
    pub async fn enable_encryption(&self, room: RoomId) -> Result<Room, ClientError> {
        let path = ["api", "chat", &room.to_string(), "e2ee", "enable"];
        let room: RoomWire = self.send(Method::POST, &path, &json!({})).await?;
        Ok(room.into())
    }
}
