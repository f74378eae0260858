//! Messages that an operator or a script has an agent send.

use std::fmt;

use async_trait::async_trait;
use launcher_core::{
    fault::Fault,
    names::{EventId, RoomId},
    target::Target,
};

/// Sends in the name of an agent that runs.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Sends a message, encrypted if the room is, and returns when the server
    /// has it. The same key again does not send a second one.
    ///
    /// # Errors
    ///
    /// See [`OutboxError`]. Whatever it says, the same message may be given
    /// again under the same key.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future is like a kill at that moment: the message is sent
    /// or not, and giving it again under its key makes sure that it is, once.
    async fn send(&self, message: &Outgoing) -> Result<Sent, OutboxError>;
}

/// A message that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Where it goes.
    pub target: Target,
    /// Names the message: whatever is sent under the same key is the same message.
    pub key: String,
    /// The root of the thread that it belongs to.
    pub thread: Option<EventId>,
    /// Whether it is marked as one that bots do not answer (`m.notice`).
    pub notice: bool,
    /// What it says.
    pub content: OutgoingContent,
}

/// What a message says.
#[derive(Clone, PartialEq, Eq)]
pub enum OutgoingContent {
    /// Text, in Markdown.
    Text(String),
    /// A file.
    File(Attachment),
}

/// A file that is to be sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Its name, without folders.
    pub name: String,
    /// Its media type, such as `image/png`.
    pub content_type: String,
    /// Its content.
    pub bytes: Vec<u8>,
    /// What is said about it, in Markdown.
    pub caption: Option<String>,
    /// Whether it was spoken for this message (MSC3245).
    pub voice: bool,
}

impl fmt::Debug for OutgoingContent {
    /// Leaves out what is said, so that it cannot reach a log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => formatter.debug_struct("Text").finish_non_exhaustive(),
            Self::File(file) => formatter.debug_tuple("File").field(file).finish(),
        }
    }
}

impl fmt::Debug for Attachment {
    /// Leaves out name, content and caption, so that they cannot reach a log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Attachment")
            .field("content_type", &self.content_type)
            .field("size", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// A message that the server has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its event.
    pub event: EventId,
    /// Its room.
    pub room: RoomId,
    /// Whether it was found to be sent already, under the same key.
    pub sent_before: bool,
}

/// Why a message was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutboxError {
    /// The agent cannot.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// It would never succeed like this.
    #[error("{reason}")]
    Refused {
        /// Why.
        reason: String,
        /// The command or edit that helps.
        action: String,
    },
    /// The server did not take it within the time; it may have it all the same.
    #[error("the homeserver did not take the message: {detail}")]
    Late {
        /// What happened last.
        detail: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_does_not_reach_a_log() {
        let file = Attachment {
            name: "hunter2.png".into(),
            content_type: "image/png".into(),
            bytes: b"hunter2".to_vec(),
            caption: Some("hunter2".into()),
            voice: false,
        };
        for content in [OutgoingContent::Text("hunter2".into()), OutgoingContent::File(file)] {
            let message = Outgoing {
                target: Target::Room(RoomId::new("!r")),
                key: "k".into(),
                thread: None,
                notice: false,
                content,
            };
            let shown = format!("{message:?}");
            assert!(!shown.contains("hunter2") && !shown.contains("104, 117"), "{shown}");
        }
    }
}
