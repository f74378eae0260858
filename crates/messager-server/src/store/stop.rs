//! Why work on the tables ends early.

use crate::refusal::Refusal;

/// Why work on the tables ends early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It is not allowed, or what it is about is not there.
    Refused(Refusal),
    /// The file.
    Sqlite(rusqlite::Error),
    /// A column, or something that is to be sent, is no JSON.
    Json(serde_json::Error),
    /// No randomness for an id.
    Random(getrandom::Error),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<serde_json::Error> for Stop {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

impl From<getrandom::Error> for Stop {
    fn from(error: getrandom::Error) -> Self {
        Self::Random(error)
    }
}

impl Stop {
    /// What the client is told. What it is not told is logged.
    pub(crate) fn into_refusal(self) -> Refusal {
        match self {
            Self::Refused(refusal) => refusal,
            Self::Sqlite(error) => broken(&error),
            Self::Json(error) => {
                // Not its text: that can quote what stands in the column.
                tracing::error!(line = error.line(), "something kept or sent is no JSON");
                Refusal::Broken
            }
            Self::Random(error) => {
                tracing::error!(%error, "no randomness");
                Refusal::Unavailable
            }
        }
    }
}

/// Logs an error of the file, and says whether it may pass.
pub(super) fn broken(error: &rusqlite::Error) -> Refusal {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked, DiskFull, OperationInterrupted};
    tracing::error!(%error, "the file could not be used");
    match error.sqlite_error_code() {
        Some(DatabaseBusy | DatabaseLocked | DiskFull | OperationInterrupted) => {
            Refusal::Unavailable
        }
        _ => Refusal::Broken,
    }
}
