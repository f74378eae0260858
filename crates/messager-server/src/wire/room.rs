//! Rooms and their members.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Account;
use crate::values::{AccountId, MemberId, Mode, Moment, RoomId, RoomKind};

/// A room.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Room {
    pub id: RoomId,
    pub name: Option<String>,
    pub description: Option<String>,
    /// 0 group, 1 direct chat.
    #[serde(rename = "type")]
    pub kind: RoomKind,
    pub is_community: bool,
    pub is_public: bool,
    /// 0 none, 1 pairwise (direct chats), 2 sender keys (groups).
    pub encryption_mode: Mode,
    pub e2ee_policy: Option<Map<String, Value>>,
    pub picture: Option<Picture>,
    pub background: Option<Picture>,
    /// The owner.
    pub account_id: AccountId,
    pub account: Option<Account>,
    /// There are no realms here.
    pub realm_id: Option<String>,
    pub realm: Option<String>,
    /// Of a direct chat the other members; of a group none.
    pub members: Vec<Member>,
    pub resource_identifier: String,
    pub created_at: Moment,
    pub updated_at: Moment,
    pub deleted_at: Option<Moment>,
}

/// A file by its id. This server keeps none.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Picture {
    pub id: String,
}

/// An account in a room.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Member {
    pub id: MemberId,
    pub chat_room_id: RoomId,
    /// In lists of invitations only.
    pub chat_room: Option<Box<Room>>,
    pub account_id: AccountId,
    pub account: Account,
    /// Nothing is known about what people are doing.
    pub status: Option<String>,
    pub nick: Option<String>,
    /// 0 all messages, 1 those that mention them, 2 none.
    pub notify: i64,
    pub last_read_at: Option<Moment>,
    pub joined_at: Option<Moment>,
    pub leave_at: Option<Moment>,
    pub invited_by_id: Option<AccountId>,
    pub invited_by: Option<Account>,
    pub break_until: Option<Moment>,
    pub timeout_until: Option<Moment>,
    pub timeout_cause: Option<TimeoutCause>,
    pub created_at: Moment,
    pub updated_at: Moment,
    pub deleted_at: Option<Moment>,
}

/// Why somebody may not write for a while.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TimeoutCause {
    pub reason: Option<String>,
    /// 0: by a person.
    #[serde(rename = "type")]
    pub kind: i64,
    /// The membership of that person.
    pub sender_id: String,
    /// In ISO 8601.
    pub since: String,
}
