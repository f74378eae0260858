//! Why something could not be done.

use std::path::PathBuf;

use super::history::HistoryError;
use crate::{
    client::ClientError,
    crypto::{RoomId, SendError},
    store::StoreError,
};

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    /// The server, or the way to it.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// `crypto.db`.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// `chat.db`.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// Another process has the folder.
    #[error("{} is in use", .folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder could not be made.
    #[error("the folder of the chat cannot be made")]
    Folder(#[from] std::io::Error),
    /// The server has keys of this device that are not in this folder: it was
    /// used with another one, or the folder was lost. Nothing was changed.
    #[error("this device has keys that are not in this folder: take a token of a new device")]
    OtherKeys,
    /// The device has gone on elsewhere: this folder is an old copy, or is used
    /// twice. Nothing was sent.
    #[error("this folder is a copy of one that has gone on: take a token of a new device")]
    Copied,
    /// There is no such account.
    #[error("there is no account {name}")]
    NoAccount {
        /// Its name.
        name: String,
    },
    /// There is no such room.
    #[error("there is no room {room}")]
    NoRoom {
        /// Its id.
        room: RoomId,
    },
    /// The room is not encrypted, and this client writes only where it is.
    #[error("room {room} is not encrypted")]
    NotEncrypted {
        /// The room.
        room: RoomId,
    },
    /// The server says that a room is not encrypted as it was.
    #[error("room {room} was encrypted otherwise, and the server does not say so any more")]
    Downgraded {
        /// The room.
        room: RoomId,
    },
    /// The message is not one that can be sent.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The server is not there. The message is kept and sent when it is, also
    /// by a later life.
    #[error("the message is kept until the server is there")]
    Kept(#[source] ClientError),
    /// Sending has no end: devices or members change all the time.
    #[error("the devices in room {room} change all the time")]
    Restless {
        /// The room.
        room: RoomId,
    },
    /// The system gave no random numbers.
    #[error("the system gives no random numbers")]
    Random(#[from] getrandom::Error),
}

impl ChatError {
    /// Whether the same can be tried again with another outcome, by itself.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Client(error) => error.is_passing(),
            Self::Kept(_) | Self::Restless { .. } => true,
            Self::Store(_)
            | Self::History(_)
            | Self::InUse { .. }
            | Self::Folder(_)
            | Self::OtherKeys
            | Self::Copied
            | Self::NoAccount { .. }
            | Self::NoRoom { .. }
            | Self::NotEncrypted { .. }
            | Self::Downgraded { .. }
            | Self::Send(_)
            | Self::Random(_) => false,
        }
    }
}
