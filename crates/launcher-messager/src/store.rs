//! The agent's `crypto.db`: SQLite, with everything sealed that is more than
//! needed to find a row.
//!
//! All that a call of the machine changes is one transaction, on the disk
//! before the call returns (`synchronous=FULL`): what leaves the process was
//! written down before, so no key is used twice after a kill or a power cut.

mod devices;
mod file;
mod groups;
mod look;
mod outgoing;
mod pairs;
mod places;
mod seal;
mod table;

use std::{io, path::PathBuf};

pub(crate) use self::{
    file::{Store, fold},
    groups::{GroupOut, InboundRecord, SealedKey, SentRecord},
    outgoing::{AskRow, Limits, MissingRow, OutboxRow, OutgoingRow},
    pairs::PeerState,
    places::client_hash,
    seal::{SealError, Sealer},
    table::Tx,
};

/// What went wrong with `crypto.db`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The pickle key is not the one it was made with. Nothing was changed.
    #[error("the pickle key does not open {}", .path.display())]
    KeyWrong {
        /// The file.
        path: PathBuf,
    },
    /// There is one, and a new one was to be made.
    #[error("{} is there already", .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// It belongs to another account or device. Nothing was changed.
    #[error("{} belongs to device {device} of account {account}", .path.display())]
    OtherIdentity {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        account: String,
        /// Which device's; the server made the name.
        device: String,
    },
    /// A newer launcher wrote it. Nothing was changed.
    #[error("{} has version {found}, this launcher knows {known}", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The latest version that is known.
        known: u32,
    },
    /// It is not what it should be.
    #[error("{what} in the crypto store is damaged")]
    Damaged {
        /// What is.
        what: &'static str,
    },
    /// SQLite could not do its work.
    #[error("the crypto store cannot be used")]
    Sqlite(#[from] rusqlite::Error),
    /// The file could not be read or written.
    #[error("the crypto store cannot be used")]
    Io(#[from] io::Error),
    /// The system gave no random numbers.
    #[error("the system gives no random numbers: {detail}")]
    Random {
        /// What it said.
        detail: String,
    },
}

impl StoreError {
    pub(crate) fn damaged(what: &'static str) -> Self {
        Self::Damaged { what }
    }
}

impl From<SealError> for StoreError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Random(detail) => Self::Random { detail },
            SealError::Seal | SealError::Open => Self::Damaged { what: "a sealed value" },
        }
    }
}
