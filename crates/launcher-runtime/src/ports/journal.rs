//! What has to survive a kill and is not a key.
//!
//! The journal decides nothing. It keeps what arrived together with the
//! position in the server's stream that it arrived at, in one transaction, so
//! that a kill at any moment leaves either both or neither; and it keeps every
//! answer with its transaction id from before its first attempt until the
//! server has it.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use launcher_core::{
    approval::{Asked, Verdict},
    claim::Claims,
    conversation::Message,
    fault::Fault,
    greeting::Greeting,
    names::{DeviceId, EventId, RoomId, UserId},
    secret::PickleKey,
    spec::AgentSpec,
    trust::UserRecord,
    undecryptable::Cause,
};

use super::{Answer, Answered, Memory};

/// One agent's journal.
///
/// Every method is one transaction. Dropping a future does not undo what it
/// has begun: the transaction may still be committed.
#[async_trait]
pub trait Journal: Send + Sync + fmt::Debug {
    /// Begins a life of the agent: opens or makes the file, counts the
    /// generation and marks the journal as in use.
    ///
    /// # Errors
    ///
    /// [`Fault::StoreKeyWrong`] before a byte is changed, [`Fault::StoreCorrupt`],
    /// [`Fault::StoreUnusable`]. The other methods fail in the same ways and
    /// with [`Fault::StoreFailed`].
    async fn begin(&self) -> Result<Life, Fault>;

    /// Marks that this life ended in order: nothing was cut off.
    async fn end(&self) -> Result<(), Fault>;

    /// Closes the file until it is needed again.
    async fn rest(&self);

    /// The position up to which everything that arrived is in the journal.
    async fn position(&self) -> Result<Option<String>, Fault>;

    /// Takes in what arrived, and the position it arrived at.
    ///
    /// Returns what was refused, and why.
    async fn ingest(&self, batch: Intake) -> Result<Vec<(EventId, Duplicate)>, Fault>;

    /// Where messages wait for their answer, oldest first, with a number above
    /// `after`; at most `limit`.
    async fn waiting(&self, after: Number, limit: usize) -> Result<Vec<Place>, Fault>;

    /// A message that waits for its answer; `None` if nothing is left to do for it.
    async fn queued(&self, number: Number) -> Result<Option<Queued>, Fault>;

    /// Notes that the behavior is about to be asked; returns for the how many-th time.
    async fn attempt(&self, number: Number) -> Result<u32, Fault>;

    /// Takes back that the behavior was asked, but for the first time.
    async fn give_back(&self, number: Number) -> Result<(), Fault>;

    /// Keeps the answers to a message before the first of them is sent, and
    /// what is remembered with them. Of an answer in a thread, also that the agent
    /// takes part in that. If answers are there already, nothing is kept.
    async fn keep_answers(
        &self,
        number: Number,
        answers: &[Answer],
        memories: &[Memory],
    ) -> Result<(), Fault>;

    /// Keeps how far the work on a message is, in place of what was kept before.
    async fn note_work(&self, number: Number, work: &[u8]) -> Result<(), Fault>;

    /// Notes that a draft of the answer is about to be sent under this
    /// transaction, or, with an event, that it was.
    async fn note_draft(&self, number: Number, draft: &Draft) -> Result<(), Fault>;

    /// Puts what one message says before what `into` says, which waits as well,
    /// and settles the first.
    async fn merge(&self, number: Number, into: Number) -> Result<(), Fault>;

    /// The next message that waits in the room of this one and was never tried.
    async fn follower(&self, number: Number) -> Result<Option<Queued>, Fault>;

    /// Puts a task into the inbox, with the answers that are known already, and
    /// remembers. `false`: it was there, and nothing was done.
    async fn begin_task(
        &self,
        task: &Message,
        answers: Option<&[Answer]>,
        memories: &[Memory],
    ) -> Result<bool, Fault>;

    /// What is remembered under a key.
    async fn recall(&self, key: &str) -> Result<Option<Vec<u8>>, Fault>;

    /// Everything that is remembered under keys that start so.
    async fn recall_all(&self, prefix: &str) -> Result<Vec<Memory>, Fault>;

    /// Remembers.
    async fn remember(&self, memories: &[Memory]) -> Result<(), Fault>;

    /// Whether the agent has answered in this thread.
    async fn takes_part(&self, room: &RoomId, thread: &EventId) -> Result<bool, Fault>;

    /// Keeps a question about a message, in place of what was known of it;
    /// with its event once that is known. How it was answered stays.
    async fn keep_question(&self, question: &OpenQuestion) -> Result<(), Fault>;

    /// Takes a message that waits for the answer to a question, and settles it.
    async fn take_verdict(&self, verdict: &Verdict, from: Number) -> Result<(), Fault>;

    /// It is too late for an answer to this question: returns what counts from
    /// now on, which is an answer that came before all the same.
    async fn expire(&self, question: &OpenQuestion) -> Result<Answered, Fault>;

    /// The questions about messages that still wait for their answer.
    async fn questions(&self) -> Result<Vec<OpenQuestion>, Fault>;

    /// Notes that the server has an answer, or refused it for good.
    async fn answer_done(&self, number: Number, transaction: &str) -> Result<(), Fault>;

    /// Forgets the content of a message and of its answers; nothing is left to do for it.
    async fn settle(&self, number: Number, outcome: Outcome) -> Result<(), Fault>;

    /// All events that wait for their key, oldest first, without their content.
    async fn undecryptable(&self) -> Result<Vec<Locked>, Fault>;

    /// The encrypted event as it arrived, if it still waits for its key.
    async fn locked_event(&self, event: &EventId) -> Result<Option<String>, Fault>;

    /// Changes why an event waits, how often it was tried and when it is tried again.
    async fn postpone(&self, locked: &Locked) -> Result<(), Fault>;

    /// Notes that people in the room were told about a session whose key is missing.
    async fn noticed(&self, room: &RoomId, session: &str) -> Result<(), Fault>;

    /// What is known of the agent's lives.
    async fn claims(&self) -> Result<Claims, Fault>;

    /// Keeps what is known of the agent's lives; survives a power cut.
    async fn keep_claims(&self, claims: &Claims) -> Result<(), Fault>;

    /// Notes the transaction of a message that is about to be sent. Answers
    /// that are kept are noted already.
    async fn sending(&self, transaction: &str) -> Result<(), Fault>;

    /// Whether a message of the agent's own device with this transaction, which
    /// the server got at this moment, can be this journal's. If not, a copy of
    /// the agent has sent it.
    async fn is_own(&self, transaction: &str, at: Stamp) -> Result<bool, Fault>;

    /// Notes that this journal begins with a device that has sent nothing yet.
    /// Until then it takes whatever was sent before, and in its first hour, for
    /// the agent's own.
    async fn begin_fresh(&self) -> Result<(), Fault>;

    /// Whether the journal once was complete up to this position and is now
    /// further on. It remembers the latest some hundred.
    async fn is_passed(&self, position: &str) -> Result<bool, Fault>;

    /// Seals with this journal's key what is sealed with `from`. To be called
    /// before [`Journal::begin`]; a kill leaves one or the other.
    async fn reseal(&self, from: &PickleKey) -> Result<(), Fault>;

    /// The trust ledger's records of these users; nothing for those that it does not know.
    async fn trust_records(&self, users: &[UserId]) -> Result<Vec<UserRecord>, Fault>;

    /// The whole trust ledger, by user id.
    async fn trust_ledger(&self) -> Result<Vec<UserRecord>, Fault>;

    /// Replaces these users' records in the trust ledger.
    async fn keep_trust(&self, records: &[UserRecord]) -> Result<(), Fault>;

    /// The invitations that were kept, by room.
    async fn invitations(&self) -> Result<Vec<Pending>, Fault>;

    /// Keeps these invitations, and no others.
    async fn keep_invitations(&self, pending: &[Pending]) -> Result<(), Fault>;

    /// The direct chats that an operator wanted, by user.
    async fn greetings(&self) -> Result<Vec<Greeting>, Fault>;

    /// Replaces what is known of one of them; survives a power cut.
    async fn keep_greeting(&self, greeting: &Greeting) -> Result<(), Fault>;

    /// Whether the room was ever seen to be encrypted.
    async fn was_encrypted(&self, room: &RoomId) -> Result<bool, Fault>;

    /// What was sent, or is being sent, under this key; for thirty days.
    async fn outgoing(&self, key: &str) -> Result<Option<OutgoingRecord>, Fault>;

    /// Keeps what is sent under this key in place of what was known. Without an
    /// event it is about to be sent, and its transaction is noted as well.
    async fn keep_outgoing(&self, key: &str, record: &OutgoingRecord) -> Result<(), Fault>;
}

/// Knows where each agent's journal is.
pub trait Journals: Send + Sync + fmt::Debug {
    /// The agent's journal, not opened yet: no file is touched before [`Journal::begin`].
    fn journal(&self, spec: &AgentSpec) -> Arc<dyn Journal>;
}

/// How one life of an agent begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// How many lives there were, with this one.
    pub generation: u64,
    /// Whether the one before ended in order. A first life counts as such.
    pub clean: bool,
}

/// A message that an operator has the agent send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingRecord {
    /// Where it goes.
    pub room: RoomId,
    /// What it is, as a hash.
    pub digest: String,
    /// The same for every attempt to send it, and for no other message.
    pub transaction: String,
    /// The device that tried last.
    pub device: DeviceId,
    /// When it was first tried.
    pub began: Stamp,
    /// The event that it became, once the server has said so.
    pub event: Option<EventId>,
}

/// The place of a message in the journal; later ones are higher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(pub i64);

/// A moment on the wall clock, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(pub u64);

impl Stamp {
    /// How long ago `earlier` was; zero if it is in the future.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// This moment and `duration`.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// This moment less `duration`.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// What one reading brought, for [`Journal::ingest`].
#[derive(Debug, Default)]
pub struct Intake {
    /// Where the next reading goes on. `None` leaves the position as it is.
    pub position: Option<String>,
    /// Messages in the order in which they are to be answered.
    pub heard: Vec<Heard>,
    /// Events that could not be decrypted, each with the encrypted event as JSON.
    pub locked: Vec<(Locked, String)>,
    /// Events from before that need not wait for their key any longer.
    pub unlocked: Vec<EventId>,
    /// Rooms that are encrypted.
    pub encrypted_rooms: Vec<RoomId>,
}

/// An invitation that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The room.
    pub room: RoomId,
    /// When it was first seen.
    pub first_seen: Stamp,
    /// The code of the reason why it was not accepted, once that was logged.
    pub refused: Option<String>,
}

/// A message that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The message.
    pub message: Message,
    /// Where its ciphertext stands in its Megolm session, if it was encrypted.
    pub ciphertext: Option<Ciphertext>,
    /// Whether it is to be answered. If not, only its ciphertext is noted, so
    /// that a replay of it is recognized.
    pub wanted: bool,
    /// The answer to a question that it is; the first one counts, and none in a
    /// message that is refused.
    pub verdict: Option<Verdict>,
}

/// What makes a Megolm ciphertext unique.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ciphertext {
    /// The session's id.
    pub session: String,
    /// The index of the message in the session.
    pub index: u32,
}

/// Why a message was refused by the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duplicate {
    /// The same event came again.
    SameEvent,
    /// Its ciphertext was there before, under another event id.
    Replayed,
    /// Its session belongs to another sender.
    OtherSender,
}

/// Where a message waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its place in the journal.
    pub number: Number,
    /// Its room.
    pub room: RoomId,
}

/// A message that waits for its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Its place in the journal.
    pub number: Number,
    /// The message. Its age is the one it had when it arrived.
    pub message: Message,
    /// When it arrived here.
    pub arrived: Stamp,
    /// How often the behavior was asked.
    pub tries: u32,
    /// How far the work is, by the behavior's own word.
    pub work: Option<Vec<u8>>,
    /// What was shown of the answer.
    pub draft: Option<Draft>,
    /// The answers that the behavior gave and that are not with the server yet,
    /// in order; `None` if it has given none so far.
    pub answers: Option<Vec<Answer>>,
}

/// An event that shows an answer before it is finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The transaction of the attempt to send it.
    pub transaction: String,
    /// The event, once it is known.
    pub event: Option<EventId>,
}

impl Draft {
    /// The event, which may be unknown.
    pub fn shown(&self) -> EventId {
        self.event.clone().unwrap_or_else(EventId::unknown)
    }
}

/// A question about a message that an agent asked in its room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenQuestion {
    /// The message.
    pub number: Number,
    /// Tells it from every other question about this message, in what is sent.
    pub place: u32,
    /// Tells it from other questions about the same message.
    pub about: String,
    /// Who may answer.
    pub asked: Asked,
    /// When it is too late.
    pub until: Stamp,
    /// How it was answered.
    pub answered: Option<Answered>,
}

/// How the work on a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything that the behavior wanted to say was said, or refused by the server.
    Done,
    /// It was not to be answered after all: too old by now, or part of a loop.
    Skipped,
    /// The behavior failed too often.
    GivenUp,
}

/// An event that waits for its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locked {
    /// The event.
    pub event: EventId,
    /// Its room.
    pub room: RoomId,
    /// Who sent it, as the server says.
    pub sender: UserId,
    /// The Megolm session, if the event names one.
    pub session: Option<String>,
    /// Why it could not be decrypted when it was last tried.
    pub cause: Cause,
    /// When the server got it.
    pub sent: Stamp,
    /// When it arrived here.
    pub first_seen: Stamp,
    /// How often it was tried again.
    pub tries: u32,
    /// When it is to be tried again if no key arrives before.
    pub next_try: Stamp,
    /// Whether people in the room were told about its session.
    pub noticed: bool,
}
