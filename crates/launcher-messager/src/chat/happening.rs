//! What happens, as a person is told.

use serde::{Deserialize, Serialize};

use crate::{
    client::{ClientError, Room},
    crypto::{AccountId, Address, BundleProblem, DeviceName, Refusal, RoomId, RowId, Withheld},
};

/// Something that happened. Names of accounts and rooms are the server's word;
/// what a [`Message`] says, and which device wrote it, is proven.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Happening {
    /// Somebody wrote, this account from whichever device included.
    Message(Message),
    /// A message says something else now.
    Edited(Message),
    /// A message was taken back by who wrote it.
    Deleted {
        /// Where.
        room: RoomId,
        /// Which.
        row: RowId,
        /// By whom.
        by: AccountId,
    },
    /// There is a message that cannot be read, as its key is not there. If it
    /// comes, so does the message.
    Locked {
        /// Where.
        room: RoomId,
        /// The row.
        row: RowId,
        /// The account that it is said to be from.
        sender: AccountId,
        /// What that is found by.
        name: String,
    },
    /// Something was not believed, and leads to nothing.
    Refused {
        /// Where.
        room: RoomId,
        /// The row.
        row: RowId,
        /// The account that it is said to be from.
        sender: AccountId,
        /// Why.
        why: RefusedFor,
    },
    /// A device says that it gives this one no key, so there are messages that
    /// stay locked.
    Withheld {
        /// The device.
        from: Address,
        /// Where.
        room: RoomId,
        /// Why.
        reason: Withheld,
    },
    /// Somebody else is in a room now.
    Joined {
        /// Where.
        room: RoomId,
        /// Who.
        account: AccountId,
    },
    /// Somebody else is not in a room any more.
    Left {
        /// Where.
        room: RoomId,
        /// Who.
        account: AccountId,
        /// Who removed them, if somebody did.
        by: Option<AccountId>,
    },
    /// This account is in a room now.
    Entered {
        /// The room.
        room: Room,
    },
    /// This account is not in a room any more: it left, or was removed.
    Gone {
        /// The room.
        room: RoomId,
    },
    /// This account is invited.
    Invited {
        /// Where to.
        room: Room,
        /// By whom, if the server says.
        by: Option<AccountId>,
    },
    /// A room is encrypted from here on.
    Encrypted {
        /// The room.
        room: RoomId,
    },
    /// The server says of a room that was encrypted that it is not, or in
    /// another way. Nothing is sent there.
    Downgraded {
        /// The room.
        room: RoomId,
    },
    /// Something about a device of somebody, or of this account.
    Device {
        /// The device.
        address: Address,
        /// What is new.
        news: DeviceNews,
    },
    /// Somebody is typing in a room that was looked at.
    Typing {
        /// Where.
        room: RoomId,
        /// Who.
        account: AccountId,
    },
    /// A message that was kept for later could not be sent, and is given up.
    Unsent {
        /// Where.
        room: RoomId,
        /// What it said.
        text: String,
        /// Why.
        why: String,
    },
    /// The server is not there. It is tried again.
    Offline {
        /// Why.
        why: ClientError,
    },
    /// The server is there, and all that had happened was told.
    Online,
}

/// A message as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Where.
    pub room: RoomId,
    /// Its row.
    pub row: RowId,
    /// Who wrote it.
    pub sender: AccountId,
    /// What that account is found by, as the server says.
    pub name: String,
    /// The device that wrote it.
    pub device: DeviceName,
    /// What it says. Text of others: escape it before it is shown.
    pub text: String,
    /// The message that it answers.
    pub reply_to: Option<RowId>,
    /// When it was written, by its sender's clock: milliseconds since 1970.
    pub sent: u64,
    /// When the server took it, as it says: milliseconds since 1970.
    pub created_at: u64,
    /// Whether it is of this account, from whichever device.
    pub is_own: bool,
    /// Whether it said something else before.
    pub is_edited: bool,
    /// What is known of the device that wrote it.
    pub trust: Trust,
}

/// What is known of the device that wrote a message. No device was compared by
/// a person: the safety number is for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// It is this device.
    Own,
    /// It was there when its account was first seen.
    FirstSeen,
    /// It came to an account that was known before.
    Late,
    /// The server shows other keys for it than it had.
    Disputed,
    /// It is not there any more.
    Gone,
}

/// Why something was not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedFor {
    /// It was not encrypted.
    Plaintext,
    /// It is not what the server says.
    Forgery(Refusal),
}

impl RefusedFor {
    /// The reason in one word, for machines: stable, `snake_case`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Forgery(refusal) => refusal.code(),
        }
    }
}

/// What is new about a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceNews {
    /// It was there when its account was first seen.
    FirstSeen,
    /// A known account has it now and did not before.
    New,
    /// It is gone from its account.
    Gone,
    /// The server shows other keys for it than it had. It gets no keys any more.
    KeysDisputed,
    /// The server shows other keys for this very device than it has.
    OwnKeysReplaced,
    /// It cannot be talked to, and reads nothing of what is written.
    Unusable(BundleProblem),
}
