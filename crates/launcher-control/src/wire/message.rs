//! What is asked and answered about messages that an agent is to send.

use std::fmt;

use launcher_core::acknowledgement::Acknowledgement;
use launcher_runtime::ports::outbox::Sent;
use serde::{Deserialize, Serialize};

/// The longest text, in bytes, before it is looked at: what fits into an event
/// is less.
pub const TEXT_LIMIT: usize = 64 * 1024;

/// The largest file, in bytes.
pub const FILE_LIMIT: usize = 100 * 1024 * 1024;

/// The longest caption of a file, in bytes: it is part of the address.
pub const CAPTION_LIMIT: usize = 8 * 1024;

/// The longest key, in bytes.
pub const KEY_LIMIT: usize = 255;

/// The longest note of an operator, in bytes.
pub const NOTE_LIMIT: usize = 1024;

/// The body of `POST /v1/agents/{id}/messages`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageRequest {
    /// A room id, an alias, or a user id for the direct chat with that user.
    pub room: String,
    /// The text, in Markdown.
    pub text: String,
    /// Whether it is a notice.
    #[serde(default)]
    pub notice: bool,
    /// The root of the thread that it belongs to.
    #[serde(default)]
    pub thread: Option<String>,
    /// Names the message: the same key again sends no second one.
    pub key: String,
}

/// The query of `POST /v1/agents/{id}/files`, whose body is the file.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileQuery {
    /// As in [`MessageRequest`].
    pub room: String,
    /// The file's name, without folders.
    pub name: String,
    /// Its media type.
    pub content_type: String,
    /// What is said about it, in Markdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// As in [`MessageRequest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// As in [`MessageRequest`].
    pub key: String,
}

impl fmt::Debug for MessageRequest {
    /// Leaves out the text, so that it cannot reach a log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("MessageRequest");
        shown.field("room", &self.room).field("key", &self.key).finish_non_exhaustive()
    }
}

impl fmt::Debug for FileQuery {
    /// Leaves out name and caption, so that they cannot reach a log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("FileQuery");
        shown.field("room", &self.room).field("key", &self.key).finish_non_exhaustive()
    }
}

/// The answer to both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentReply {
    /// The event that the message became.
    pub event_id: String,
    /// Its room.
    pub room_id: String,
    /// Whether it was known to be sent already, under the same key.
    pub sent_before: bool,
}

impl From<Sent> for SentReply {
    fn from(sent: Sent) -> Self {
        Self {
            event_id: sent.event.as_str().to_owned(),
            room_id: sent.room.as_str().to_owned(),
            sent_before: sent.sent_before,
        }
    }
}

/// The body of `POST /v1/agents/{id}/acknowledge`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcknowledgeRequest {
    /// What the operator notes.
    #[serde(default)]
    pub note: Option<String>,
}

/// The answer to that, and what `GET /v1/status` says about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcknowledgedReply {
    /// The code of the reason that is known from now on.
    pub reason: String,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// What the operator noted.
    pub note: Option<String>,
}

impl From<Acknowledgement> for AcknowledgedReply {
    fn from(known: Acknowledgement) -> Self {
        Self { reason: known.reason, at_ms: known.at_ms, note: known.note }
    }
}
