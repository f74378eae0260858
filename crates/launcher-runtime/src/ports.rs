//! What the runtime needs from the outside, as traits.
//!
//! Chat networks implement [`Connector`] and [`Session`], behaviors implement
//! [`Behavior`]. Neither sees the other: a behavior gets a message and returns
//! what it wants done, so encryption, order, retries and limits are in one place.

pub mod archive;
mod behavior;
pub mod journal;
pub mod maintenance;
pub mod outbox;
pub mod rooms;
pub mod trust;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use launcher_core::{
    conversation::Media,
    fault::Fault,
    names::{EventId, RoomId, UserId},
    secret::Secret,
    spec::AgentSpec,
};

pub use behavior::{
    Action, Answered, Behavior, BehaviorFault, FetchFault, Initiative, Memories, Memory, Question,
    Response, Stage, Task, ToDo,
};

use self::{
    journal::{Intake, Journal},
    outbox::{Attachment, Outbox},
    rooms::Rooms,
    trust::Trust,
};
use crate::report::Report;

/// Turns an agent's account into a live session.
#[async_trait]
pub trait Connector: Send + Sync + fmt::Debug {
    /// Checks, logs in, and returns once the agent's keys are on the server and
    /// a message sent now would be answered.
    ///
    /// # Errors
    ///
    /// The fault that ends this attempt. Nothing is held any more then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future is like a kill at that moment: the next attempt
    /// continues, nothing is made twice.
    async fn connect(
        &self,
        spec: &AgentSpec,
        report: Arc<Report>,
        journal: Arc<dyn Journal>,
    ) -> Result<Arc<dyn Session>, Fault>;
}

/// A connected account.
#[async_trait]
pub trait Session: Send + Sync {
    /// The user id of the account.
    fn own(&self) -> UserId;

    /// Waits until there may be something to read.
    ///
    /// # Errors
    ///
    /// Passing faults may be waited out by calling again.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is consumed.
    async fn wait(&self) -> Result<(), Fault>;

    /// Reads what has arrived since the journal's position, in order, and acts
    /// on invites.
    ///
    /// Nothing counts as read before the journal has taken it in: until then,
    /// and in the next life, the same is read again.
    ///
    /// # Errors
    ///
    /// After [`Fault::StoreFailed`] the session is of no use any more.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future is like a kill at that moment: nothing is lost, but
    /// the session is of no use any more.
    async fn read(&self) -> Result<Arrivals, Fault>;

    /// Sends an answer, encrypted if the room is.
    ///
    /// Returns when the server has accepted it. Sending the same answer again
    /// (same transaction) cannot make it appear twice.
    ///
    /// # Errors
    ///
    /// See [`SendFault`].
    async fn send(&self, answer: &Answer) -> Result<EventId, SendFault>;

    /// Sends a notice, on the same terms as an answer.
    ///
    /// # Errors
    ///
    /// See [`SendFault`].
    async fn send_notice(&self, notice: &Notice) -> Result<EventId, SendFault>;

    /// The content of a file in a message, opened and checked. Networks without
    /// files have none.
    ///
    /// # Errors
    ///
    /// See [`FetchFault`].
    async fn fetch(&self, media: &Media, limit: u64) -> Result<Vec<u8>, FetchFault> {
        let _ = (media, limit);
        Err(FetchFault::Gone { detail: "this network has no files".to_owned() })
    }

    /// Shows a room whether the agent is at work, where a network can. Nobody
    /// waits for it.
    async fn typing(&self, room: &RoomId, is_at_work: bool) {
        let _ = (room, is_at_work);
    }

    /// Parts of a text that each fit into an event, the first of them also into
    /// an edit of one. Networks without a limit leave it whole.
    fn parts(&self, text: &str) -> Vec<String> {
        vec![text.to_owned()]
    }

    /// Writes down what is left to write and lets go of everything.
    async fn close(&self);

    /// What an operator can ask about trust; `None` where there is none.
    fn trust(&self) -> Option<&dyn Trust> {
        None
    }

    /// What sends for an operator; `None` where nothing does.
    fn outbox(&self) -> Option<&dyn Outbox> {
        None
    }

    /// Whether nothing that was sent was cut off in the middle. To be asked when
    /// the session is closed.
    fn is_whole(&self) -> bool {
        true
    }

    /// What an operator can ask about rooms and invitations; `None` where there
    /// are none.
    fn rooms(&self) -> Option<&dyn Rooms> {
        None
    }
}

/// What one reading brought.
#[derive(Debug, Default)]
pub struct Arrivals {
    /// For the journal. Every message in it is marked as wanted.
    pub intake: Intake,
    /// What is to be said in rooms about messages that cannot be read.
    pub notices: Vec<Notice>,
    /// What was found and is too old to be looked at.
    pub passed_over: PassedOver,
}

/// Messages that an absence left behind unanswered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PassedOver {
    /// How many were seen.
    pub count: usize,
    /// Whether there may be more that nobody looked at.
    pub more: bool,
}

/// What is said in a room without being asked: about a message that is not
/// answered, or to somebody who is greeted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Where it goes.
    pub room: RoomId,
    /// The message that it is about; empty for a greeting.
    pub about: EventId,
    /// Who wrote that message; who is greeted.
    pub sender: UserId,
    /// What is said, and how.
    pub kind: NoticeKind,
    /// The same for every attempt to send this notice, and for no other.
    pub transaction: String,
}

/// What a notice says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoticeKind {
    /// A key is missing. `about` is the first message of its session that could
    /// not be read.
    MissingKey {
        /// The session.
        session: String,
        /// What is said.
        text: &'static str,
    },
    /// The sender is not trusted. They may not have the agent's keys, so
    /// nothing that is encrypted can tell them: it is a reaction.
    NotTrusted {
        /// What is said, in a few words.
        hint: &'static str,
    },
    /// Somebody is greeted in a direct chat.
    Greeting {
        /// What is said.
        text: Secret<String>,
    },
}

/// An answer to a message, or what else an agent does in a room.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// Where it goes.
    pub room: RoomId,
    /// What it is.
    pub content: AnswerContent,
    /// The message that it answers, if a person sent one.
    pub reply: Option<Reply>,
    /// The thread the message was in.
    pub thread: Option<EventId>,
    /// The same for every attempt to send this answer, and for no other.
    pub transaction: String,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The message.
    pub event: EventId,
    /// Who wrote it.
    pub asker: UserId,
}

/// What an answer is.
#[derive(Clone, PartialEq, Eq)]
pub enum AnswerContent {
    /// A text, in Markdown.
    Text(String),
    /// An earlier message of the agent says this from now on.
    Edit {
        /// That message.
        event: EventId,
        /// The text, in Markdown.
        text: String,
    },
    /// A reaction.
    Reaction {
        /// To which message.
        event: EventId,
        /// With what.
        key: String,
    },
    /// An earlier message of the agent is taken back.
    Redaction {
        /// That message.
        event: EventId,
    },
    /// A file.
    File(Attachment),
}

impl fmt::Debug for AnswerContent {
    /// Leaves out what is said, so that it cannot reach a log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Text(_) => "Text",
            Self::Edit { .. } => "Edit",
            Self::Reaction { .. } => "Reaction",
            Self::Redaction { .. } => "Redaction",
            Self::File(_) => "File",
        })
    }
}

impl AnswerContent {
    /// What it says, for those who look for repetitions; may be empty.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Edit { text, .. } => text,
            Self::Reaction { .. } | Self::Redaction { .. } | Self::File(_) => "",
        }
    }
}

impl fmt::Debug for Answer {
    /// Leaves out the text, so that it cannot reach a log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Answer")
            .field("room", &self.room)
            .field("reply", &self.reply)
            .field("transaction", &self.transaction)
            .finish_non_exhaustive()
    }
}

/// Why an answer was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendFault {
    /// The same attempt may succeed later.
    #[error("{detail}")]
    Passing {
        /// What happened.
        detail: String,
        /// When the server wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// It would never succeed: the agent left the room, the answer is too long.
    #[error("{detail}")]
    Refused {
        /// What happened.
        detail: String,
    },
}
