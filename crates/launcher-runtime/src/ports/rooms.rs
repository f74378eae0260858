//! Rooms and invitations, as an operator sees them.

use std::collections::BTreeSet;

use async_trait::async_trait;
use launcher_core::{
    fault::Fault,
    greeting::Membership,
    invite::{Invited, Reason},
    names::{DeviceId, RoomId, UserId},
    trust::Refusal,
};

/// The rooms of an agent that runs.
///
/// Every method may be called again after it failed or was dropped in the
/// middle: it goes on where it was. The exception is [`Rooms::make_room`].
#[async_trait]
pub trait Rooms: Send + Sync {
    /// The invitations that wait, oldest first.
    async fn invitations(&self) -> Result<Vec<Invitation>, RoomsError>;

    /// Joins a room that the agent is invited to, whatever its policy says.
    /// Nothing is done if it is in that room already.
    async fn accept(&self, room: &RoomId) -> Result<(), RoomsError>;

    /// Declines an invitation. Nothing is done if it was declined already.
    async fn reject(&self, room: &RoomId) -> Result<(), RoomsError>;

    /// The rooms that the agent is in, by id.
    async fn joined(&self) -> Result<Vec<JoinedRoom>, RoomsError>;

    /// Leaves a room. Nothing is done if the agent has left it already.
    async fn leave(&self, room: &RoomId) -> Result<(), RoomsError>;

    /// Makes an encrypted room and invites users to it. Each call makes one.
    async fn make_room(&self, wanted: &NewRoom) -> Result<MadeRoom, RoomsError>;

    /// Has an encrypted direct chat with a user: the one that there is, or a
    /// new one. Invites them and greets them, as soon as a device of theirs can
    /// read it; without a text as before, or in common words.
    ///
    /// At most one such chat is made for a user, however often this is called,
    /// dropped or killed.
    async fn open_direct(
        &self,
        user: &UserId,
        greeting: Option<&str>,
    ) -> Result<Direct, RoomsError>;

    /// How far a direct chat is; changes nothing.
    async fn direct(&self, user: &UserId) -> Result<Direct, RoomsError>;
}

/// An invitation that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// The room.
    pub room: RoomId,
    /// What it is called, if it says so.
    pub name: Option<String>,
    /// What else is known of it.
    pub invited: Invited,
    /// When it was first seen, in milliseconds since 1970.
    pub first_seen: u64,
    /// Why it was not accepted; `None`: the agent is about to join.
    pub reason: Option<Reason>,
    /// Why joining failed, if it was tried.
    pub trouble: Option<String>,
    /// Whether it is tried no more.
    pub gave_up: bool,
}

/// A room that the agent is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedRoom {
    /// The room.
    pub room: RoomId,
    /// What it is called, if it says so.
    pub name: Option<String>,
    /// Whether it is encrypted, as far as the agent knows.
    pub encrypted: bool,
    /// How many are in it, the agent included.
    pub joined_members: u64,
    /// How many are invited.
    pub invited_members: u64,
    /// Whether the account calls it a direct chat.
    pub direct: bool,
}

/// A room to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRoom {
    /// What it is called.
    pub name: String,
    /// What it is about.
    pub topic: Option<String>,
    /// Who is invited.
    pub invite: Vec<UserId>,
}

/// A room that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeRoom {
    /// The room.
    pub room: RoomId,
    /// Who was invited.
    pub invited: Vec<UserId>,
    /// Who was not, and why.
    pub not_invited: Vec<(UserId, String)>,
}

/// How far a direct chat is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Direct {
    /// Whom it is with.
    pub user: UserId,
    /// The room. `None`: the server may be about to make it for an earlier
    /// attempt; it is not asked for another one so soon.
    pub room: Option<RoomId>,
    /// Whether the room was made just now.
    pub made: bool,
    /// Where the user stands to it.
    pub membership: Membership,
    /// The user's devices that may have keys.
    pub devices: BTreeSet<DeviceId>,
    /// Those that may not, and why.
    pub refused: Vec<(DeviceId, Refusal)>,
    /// How often the greeting was said.
    pub said: usize,
    /// Those of the devices that got the greeting's key.
    pub readers: BTreeSet<DeviceId>,
    /// Whether the greeting is about to be said.
    pub due: bool,
}

/// Why an operator did not get what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoomsError {
    /// The agent cannot.
    #[error("{}", .0.reason())]
    Fault(#[from] Fault),
    /// It cannot or must not be done.
    #[error("{reason}")]
    Refused {
        /// Why.
        reason: String,
        /// What helps.
        action: String,
    },
}
