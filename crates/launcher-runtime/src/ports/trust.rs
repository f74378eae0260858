//! Trust and verification, as an operator sees them.

use std::time::Duration;

use async_trait::async_trait;
use launcher_core::{
    fault::Fault,
    names::{DeviceId, UserId},
    trust::{Method, Order, OrderRefused, UserRecord},
};

/// The trust ledger and the verifications of an agent that runs.
#[async_trait]
pub trait Trust: Send + Sync {
    /// Everybody in the ledger, by user id.
    async fn users(&self) -> Result<Vec<UserRecord>, TrustError>;

    /// Carries out an order. When this returns it is in the ledger and holds
    /// for the next message; a room whose key is known to somebody who may not
    /// have it any more gets a new one then.
    async fn decide(&self, user: &UserId, order: &Order) -> Result<UserRecord, TrustError>;

    /// The verifications that go on or ended a short while ago, oldest first.
    async fn verifications(&self) -> Vec<Verification>;

    /// Takes up the request of this user, if there is one; asks them, if not.
    async fn begin_verification(
        &self,
        with: &Partner,
        method: Method,
    ) -> Result<Verification, TrustError>;

    /// A verification, as soon as its revision is above `after` or `wait` is over.
    ///
    /// Cancel safe.
    async fn verification(
        &self,
        number: u64,
        after: u64,
        wait: Duration,
    ) -> Result<Verification, TrustError>;

    /// Answers what a verification asks.
    async fn answer_verification(
        &self,
        number: u64,
        answer: VerificationAnswer,
    ) -> Result<Verification, TrustError>;
}

/// Whom to verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partner {
    /// The user; the agent's own, for another device of its account.
    pub user: UserId,
    /// One device of the agent's own account; all of them are asked without it.
    pub device: Option<DeviceId>,
}

/// A verification between the agent and somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// Its number, for as long as the agent runs.
    pub number: u64,
    /// The other user; the agent's own, for another device of its account.
    pub user: UserId,
    /// The other device, once it is known.
    pub device: Option<DeviceId>,
    /// Whether the agent asked.
    pub we_asked: bool,
    /// When it began, in milliseconds since 1970.
    pub began: u64,
    /// Grows with every change.
    pub revision: u64,
    /// How far it is.
    pub stage: Stage,
}

/// How far a verification is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Somebody asked; an operator has to take it up.
    Requested,
    /// Nothing to do but wait for the other side.
    Waiting,
    /// Both sides see these. An operator has to say whether they are the same.
    Emojis(Vec<Emoji>),
    /// The content of a code that the other side has to scan.
    Code(Vec<u8>),
    /// The other side says that it has scanned the code. An operator has to
    /// say whether its client shows that it worked.
    Scanned,
    /// Confirmed here; the other side is not done yet.
    Confirmed,
    /// Both sides are done.
    Done,
    /// It ended otherwise, and nothing was verified.
    Cancelled {
        /// Whether this side did it.
        by_us: bool,
        /// The code of the cancellation (spec 11.12.2.1, `m.mismatched_sas`).
        code: String,
        /// Why, in words.
        reason: String,
    },
}

/// One of the seven pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emoji {
    /// The picture.
    pub symbol: String,
    /// What it is called, in English.
    pub description: String,
}

/// What an operator says to a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerificationAnswer {
    /// The emojis are the same; the code was scanned.
    Match,
    /// They are not.
    Mismatch,
    /// Enough of it.
    Cancel,
}

/// Why an operator did not get what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The agent cannot.
    #[error("{}", .0.reason())]
    Fault(#[from] Fault),
    /// The ledger does not allow it.
    #[error(transparent)]
    Order(#[from] OrderRefused),
    /// It cannot or must not be done.
    #[error("{reason}")]
    Refused {
        /// Why.
        reason: String,
        /// What helps.
        action: String,
    },
}
