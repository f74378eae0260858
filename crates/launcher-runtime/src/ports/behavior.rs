//! What an agent does with a message.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use launcher_core::{
    approval::Verdict,
    conversation::{Media, Message},
    fleet::Degradation,
    help::Word,
    names::{EventId, RoomId, UserId},
    spec::Requirement,
};

use super::outbox::Attachment;

/// What an agent does with a message.
///
/// The same behavior is used in all lives of an agent, and for several messages
/// of different rooms at once.
#[async_trait]
pub trait Behavior: Send + Sync + fmt::Debug {
    /// Answers one message, or leaves it to the next behavior (`None`).
    ///
    /// It may be asked about the same message again, by this process or the
    /// next one, until what it has returned is in the journal. What must not
    /// happen twice it notes with [`Stage::note`] before it does it.
    ///
    /// # Errors
    ///
    /// What went wrong, without the message's text. It is asked again, a few
    /// times.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future is like a kill at that moment.
    async fn on_message(
        &self,
        message: &Message,
        stage: &dyn Stage,
    ) -> Result<Option<Response>, BehaviorFault>;

    /// The words by which it is called, with what is said about each by
    /// `!help`. `message` asks: what its sender may not do can be left out.
    /// Without one, all words are wanted.
    fn commands(&self, message: Option<&Message>) -> Vec<Word> {
        let _ = message;
        Vec::new()
    }

    /// Takes note that `event` of the agent's own answers `message`, now that the
    /// server has it. It can be told so again.
    ///
    /// # Errors
    ///
    /// It is not noted.
    async fn said(
        &self,
        message: &Message,
        event: &EventId,
        memories: &dyn Memories,
    ) -> Result<(), BehaviorFault> {
        let _ = (message, event, memories);
        Ok(())
    }

    /// How long it may work on one message, without the time in which it waits
    /// for the answer to a question.
    fn limit(&self) -> Duration {
        Duration::from_secs(180)
    }

    /// What it does by itself while the agent runs: never ends if that is
    /// nothing. It is started again, later each time, if it ends.
    ///
    /// # Errors
    ///
    /// Why it ended.
    ///
    /// # Cancel safety
    ///
    /// It is dropped when the agent stops.
    async fn run(&self, initiative: Arc<dyn Initiative>) -> Result<(), BehaviorFault> {
        drop(initiative);
        std::future::pending().await
    }
}

/// What a behavior made of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// What is to be done, in this order.
    pub actions: Vec<Action>,
    /// What it remembers from now on: kept together with the actions, or not at all.
    pub memories: Vec<Memory>,
}

impl Response {
    /// A text in answer to the message.
    pub fn say(text: impl Into<String>) -> Self {
        Self { actions: vec![Action::Say { text: text.into() }], memories: Vec::new() }
    }
}

/// What a behavior wants done.
#[derive(Clone, PartialEq, Eq)]
pub enum Action {
    /// Say this in answer to the message, in Markdown.
    Say {
        /// The text.
        text: String,
    },
    /// Let an earlier message of the agent say this from now on.
    Edit {
        /// That message.
        event: EventId,
        /// The text.
        text: String,
    },
    /// React to a message.
    React {
        /// To which.
        event: EventId,
        /// With what.
        key: String,
    },
    /// Take back an earlier message of the agent.
    Redact {
        /// That message.
        event: EventId,
    },
    /// Send a file in answer to the message.
    File(Attachment),
}

impl fmt::Debug for Action {
    /// Leaves out what is said, so that it cannot reach a log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Say { .. } => "Say",
            Self::Edit { .. } => "Edit",
            Self::React { .. } => "React",
            Self::Redact { .. } => "Redact",
            Self::File(_) => "File",
        })
    }
}

/// Something that a behavior remembers, sealed at rest.
#[derive(Clone, PartialEq, Eq)]
pub struct Memory {
    /// Its name, of the behavior's choice; not sealed. Starts with the
    /// behavior's own name and a slash.
    pub key: String,
    /// What is remembered; `None` forgets it.
    pub value: Option<Vec<u8>>,
}

impl fmt::Debug for Memory {
    /// Leaves out what is remembered, so that it cannot reach a log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Memory").field("key", &self.key).finish_non_exhaustive()
    }
}

/// What a behavior remembers, when it does not work on a message.
#[async_trait]
pub trait Memories: Send + Sync {
    /// What is remembered under a key.
    ///
    /// # Errors
    ///
    /// The journal cannot be read.
    async fn recall(&self, key: &str) -> Result<Option<Vec<u8>>, BehaviorFault>;

    /// Remembers.
    ///
    /// # Errors
    ///
    /// It is not remembered.
    async fn remember(&self, memories: Vec<Memory>) -> Result<(), BehaviorFault>;
}

/// What a behavior can do while it works on a message.
#[async_trait]
pub trait Stage: Send + Sync {
    /// How often it is asked about this message, from one: more means that an
    /// earlier attempt failed or was cut off, at whatever point.
    fn attempt(&self) -> u32;

    /// What a setting is in the message's room, if it was set there.
    fn setting(&self, name: &str) -> Option<String>;

    /// Shows what there is of the answer so far, in Markdown. It is shown
    /// when it is worth an event, and what was not shown yet is replaced by the
    /// next draft. The first [`Action::Say`] takes its place.
    fn draft(&self, text: &str);

    /// What was noted about this message, by this attempt or an earlier one.
    fn noted(&self) -> Option<Vec<u8>>;

    /// Notes how far the work on this message is, in place of what was noted
    /// before. A kill after this has returned finds it noted.
    ///
    /// # Errors
    ///
    /// It is not noted.
    async fn note(&self, work: Vec<u8>) -> Result<(), BehaviorFault>;

    /// What is remembered under a key.
    ///
    /// # Errors
    ///
    /// The journal cannot be read.
    async fn recall(&self, key: &str) -> Result<Option<Vec<u8>>, BehaviorFault>;

    /// Remembers at once, whatever becomes of the message.
    ///
    /// # Errors
    ///
    /// It is not remembered.
    async fn remember(&self, memories: Vec<Memory>) -> Result<(), BehaviorFault>;

    /// The content of a file, as it was sent.
    ///
    /// # Errors
    ///
    /// See [`FetchFault`].
    async fn fetch(&self, media: &Media, limit: u64) -> Result<Vec<u8>, FetchFault>;

    /// Asks in the room, and waits until somebody who may answer does.
    ///
    /// The same question about the same message is asked once, whatever
    /// happens in between; its answer is kept until the message is settled.
    ///
    /// # Errors
    ///
    /// The question could not be asked.
    async fn ask(&self, question: Question) -> Result<Answered, BehaviorFault>;
}

/// Something that is asked before it is done.
#[derive(Clone, PartialEq, Eq)]
pub struct Question {
    /// Tells it from other questions about the same message: what exactly
    /// would be done, or a hash of it.
    pub about: String,
    /// What is asked, in Markdown; how to answer is added.
    pub text: String,
    /// Globs (`*`, `?`) on the ids of those who may answer.
    pub users: Vec<String>,
    /// How sure it has to be who they are.
    pub require: Requirement,
    /// How long to wait, from when it was first asked.
    pub timeout: Duration,
}

/// How a question was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// Somebody agreed.
    Yes(UserId),
    /// Somebody did not.
    No(UserId),
    /// Nobody said anything in time.
    Expired,
}

impl From<&Verdict> for Answered {
    fn from(verdict: &Verdict) -> Self {
        let by = verdict.by.clone();
        if verdict.yes { Self::Yes(by) } else { Self::No(by) }
    }
}

/// Why a file is not there.
#[derive(Debug, thiserror::Error)]
pub enum FetchFault {
    /// It is larger than wanted.
    #[error("it is larger than {limit} bytes")]
    TooLarge {
        /// What was wanted, in bytes.
        limit: u64,
    },
    /// It is not what was sent, or does not open.
    #[error("it is damaged: {detail}")]
    Damaged {
        /// What was found.
        detail: String,
    },
    /// The server does not have it (any more), or does not give it.
    #[error("the server does not give it: {detail}")]
    Gone {
        /// What the server said.
        detail: String,
    },
    /// The same attempt may succeed later.
    #[error("it could not be fetched: {detail}")]
    Passing {
        /// What happened.
        detail: String,
    },
}

/// What a behavior can do when nobody has said anything.
#[async_trait]
pub trait Initiative: Send + Sync {
    /// Puts a task into the agent's inbox, together with what is to be
    /// remembered. The same id again does nothing: `false`.
    ///
    /// # Errors
    ///
    /// Neither is kept.
    async fn begin(&self, task: Task, memories: Vec<Memory>) -> Result<bool, BehaviorFault>;

    /// What is remembered under a key.
    ///
    /// # Errors
    ///
    /// The journal cannot be read.
    async fn recall(&self, key: &str) -> Result<Option<Vec<u8>>, BehaviorFault>;

    /// Remembers.
    ///
    /// # Errors
    ///
    /// It is not remembered.
    async fn remember(&self, memories: Vec<Memory>) -> Result<(), BehaviorFault>;

    /// Shows operators what keeps the behavior from working, or that nothing
    /// does any more.
    fn set_degraded(&self, found: Option<Degradation>) {
        drop(found);
    }
}

/// Something that an agent does without being asked.
#[derive(Clone, PartialEq, Eq)]
pub struct Task {
    /// Names it for ever: it is done once under this name.
    pub id: String,
    /// Where it is done.
    pub room: RoomId,
    /// What is done.
    pub what: ToDo,
}

/// What a task is.
#[derive(Clone, PartialEq, Eq)]
pub enum ToDo {
    /// These things, in this order.
    Act(Vec<Action>),
    /// What the agent's behaviors do about this text, as if its operator had
    /// said it.
    Answer(String),
}

impl fmt::Debug for ToDo {
    /// Leaves out what is said, so that it cannot reach a log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Act(_) => "Act",
            Self::Answer(_) => "Answer",
        })
    }
}

impl fmt::Debug for Task {
    /// Leaves out what is said, so that it cannot reach a log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Task")
            .field("id", &self.id)
            .field("room", &self.room)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Question {
    /// Leaves out what is asked, so that it cannot reach a log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Question")
            .field("users", &self.users)
            .field("require", &self.require)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// A behavior could not answer.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub struct BehaviorFault {
    /// What went wrong, without the message's text.
    pub detail: String,
}

impl BehaviorFault {
    /// A fault with this detail.
    pub fn new(detail: impl Into<String>) -> Self {
        Self { detail: detail.into() }
    }
}
