//! What can go wrong with the file, and which fault that is.

use std::{io, path::Path};

use launcher_core::fault::Fault;
use rusqlite::ErrorCode;

use crate::{index_set::DamagedSet, seal::SealError};

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Seal(#[from] SealError),
    /// The file is not what it should be.
    #[error("{0}")]
    Damaged(String),
    #[error("the pickle key does not open it")]
    KeyWrong,
    /// The message has been settled, or was never there.
    #[error("message {0} does not wait for an answer")]
    NotWaiting(i64),
}

impl From<DamagedSet> for Trouble {
    fn from(damage: DamagedSet) -> Self {
        Self::Damaged(damage.to_string())
    }
}

impl Trouble {
    /// The fault, if it came while the file was opened: what SQLite cannot
    /// read then is no journal.
    pub(crate) fn while_opening(self, path: &Path) -> Fault {
        match self.clear_case(path) {
            Ok(fault) => fault,
            Err(detail) => Fault::StoreCorrupt { path: path.to_owned(), detail },
        }
    }

    /// The fault, if it came later.
    pub(crate) fn while_open(self, path: &Path) -> Fault {
        match self.clear_case(path) {
            // Nobody owns it but us, so a lock that is held now is a backup's, and passes.
            Ok(Fault::StoreLocked { .. }) => {
                Fault::StoreFailed { detail: format!("{} is locked", path.display()) }
            }
            Ok(fault) => fault,
            Err(detail) => Fault::StoreFailed { detail: format!("{}: {detail}", path.display()) },
        }
    }

    /// The fault if there is no doubt, otherwise what happened.
    fn clear_case(self, path: &Path) -> Result<Fault, String> {
        let detail = self.to_string();
        let path = path.to_owned();
        match self {
            Self::Sqlite(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                    Ok(Fault::StoreLocked { path })
                }
                Some(
                    ErrorCode::PermissionDenied
                    | ErrorCode::ReadOnly
                    | ErrorCode::DiskFull
                    | ErrorCode::SystemIoFailure
                    | ErrorCode::CannotOpen
                    | ErrorCode::OutOfMemory,
                ) => Ok(Fault::StoreUnusable { path, detail }),
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                    Ok(Fault::StoreCorrupt { path, detail })
                }
                Some(_) => Err(detail),
                None if is_damage(&error) => Ok(Fault::StoreCorrupt { path, detail }),
                None => Err(detail),
            },
            Self::Io(_) => Ok(Fault::StoreUnusable { path, detail }),
            Self::Damaged(_) => Ok(Fault::StoreCorrupt { path, detail }),
            Self::KeyWrong => Ok(Fault::StoreKeyWrong { path }),
            Self::Seal(_) | Self::NotWaiting(_) => Err(detail),
        }
    }
}

/// Whether a row was there, or held what, that no version of this crate writes.
fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::QueryReturnedNoRows
            | rusqlite::Error::Utf8Error(..)
    )
}
