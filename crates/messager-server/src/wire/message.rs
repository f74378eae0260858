//! Rows of a timeline.

use std::collections::BTreeMap;

use rusqlite::{
    ToSql,
    types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::{Member, Room};
use crate::values::{AccountId, MemberId, MessageId, Moment, Octets, ReactionId, RoomId};

macro_rules! row_kinds {
    ($($variant:ident => $name:literal,)+) => {
        /// What a row is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum RowKind {
            $($variant,)+
        }

        impl RowKind {
            /// What stands in `type`.
            pub(crate) fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            fn of(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl JsonSchema for RowKind {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                "RowKind".into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "enum": [$($name),+] })
            }
        }
    };
}

row_kinds! {
    Text => "text",
    Voice => "voice",
    Update => "messages.update",
    Delete => "messages.delete",
    Links => "messages.update.links",
    ReactionAdded => "messages.reaction.added",
    ReactionRemoved => "messages.reaction.removed",
    Joined => "system.member.joined",
    Left => "system.member.left",
    RoomUpdated => "system.chat.updated",
    EncryptionEnabled => "system.e2ee.enabled",
    RotateRequired => "system.e2ee.rotate_required",
}

impl Serialize for RowKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl ToSql for RowKind {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_str().into())
    }
}

impl FromSql for RowKind {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Self::of(value.as_str()?).ok_or(FromSqlError::InvalidType)
    }
}

/// A row of a timeline: a message, or what became of one, or of the room.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Message {
    pub id: MessageId,
    #[serde(rename = "type")]
    pub kind: RowKind,
    pub content: Option<String>,
    pub is_encrypted: bool,
    pub ciphertext: Option<Octets>,
    pub encryption_header: Option<Octets>,
    pub encryption_signature: Option<Octets>,
    pub encryption_scheme: Option<String>,
    pub encryption_epoch: Option<i64>,
    pub encryption_message_type: Option<String>,
    pub client_message_id: Option<String>,
    pub meta: Map<String, Value>,
    pub members_mentioned: Vec<AccountId>,
    pub nonce: Option<String>,
    pub edited_at: Option<Moment>,
    pub attachments: Vec<Attachment>,
    pub reactions_count: BTreeMap<String, i64>,
    /// Which symbols the one who asks chose; null in packets.
    pub reactions_made: Option<BTreeMap<String, bool>>,
    pub reactions: Vec<Reaction>,
    pub replied_message_id: Option<MessageId>,
    pub replied_message: Option<Box<Message>>,
    pub forwarded_message_id: Option<MessageId>,
    pub forwarded_message: Option<Box<Message>>,
    /// The membership of the one who wrote it; the account is in `sender`.
    pub sender_id: MemberId,
    pub sender: Member,
    pub chat_room_id: RoomId,
    pub chat_room: Room,
    pub resource_identifier: String,
    pub created_at: Moment,
    pub updated_at: Moment,
    pub deleted_at: Option<Moment>,
}

/// A file by its id. This server keeps none.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Attachment {
    pub id: String,
}

/// A reaction to a message.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Reaction {
    pub id: ReactionId,
    pub message_id: MessageId,
    /// The membership of the one who reacted.
    pub sender_id: MemberId,
    pub symbol: String,
    /// 0 positive, 1 neutral, 2 negative.
    pub attitude: i64,
    pub created_at: Moment,
    pub updated_at: Moment,
    pub deleted_at: Option<Moment>,
}

/// Rows that are newer than a moment.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct SyncPage {
    /// The oldest first, 500 at most.
    pub messages: Vec<Message>,
    /// What to ask with next time.
    pub current_timestamp: Moment,
    /// How many newer rows there are; over all rooms how many are in `messages`.
    pub total_count: i64,
}

/// How a room looks in a list.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Summary {
    pub unread_count: i64,
    pub last_message: Option<Message>,
}

/// What a page says about itself, to which a message has a link. It stands in
/// `meta.embeds`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Link {
    /// Always `link`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub url: String,
    pub title: Option<String>,
    pub description: Option<String>,
    pub site_name: Option<String>,
    pub image_url: Option<String>,
}
