//! `chat.db`: what a person's client has to remember beside its keys.
//!
//! A row is noted when it was handed out, not when it came: after a kill it is
//! handed out again rather than never. Rows are known by their ids, so asking
//! the server from a little before where it was shows nothing twice.

mod notes;
mod rows;

use std::{io, path::Path};

use fs_err::{OpenOptions, os::unix::fs::OpenOptionsExt};
use launcher_core::secret::PickleKey;
use rusqlite::{Connection, OptionalExtension, Params, TransactionBehavior, types::FromSql};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    client::Mode,
    crypto::{AccountId, Row},
    store::{SealError, Sealer},
};

/// Each step leads to the version that is its place in the list, counted from one.
const STEPS: &[&str] = &[include_str!("schema.sql"), include_str!("schema_2.sql")];

const VERSION: u32 = STEPS.len() as u32;

/// What went wrong with `chat.db`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// A newer launcher wrote it. Nothing was changed.
    #[error("the history has version {found}, this launcher knows {VERSION}")]
    Newer {
        /// Its version.
        found: u32,
    },
    /// Something in it is not what it should be, or was sealed with another key.
    #[error("the history is damaged")]
    Damaged,
    /// SQLite could not do its work.
    #[error("the history cannot be used")]
    Sqlite(#[from] rusqlite::Error),
    /// The file could not be made.
    #[error("the history cannot be made")]
    Io(#[from] io::Error),
}

/// A row whose key is missing.
#[derive(Serialize, Deserialize)]
pub(super) struct LockedRow {
    pub(super) row: Row,
    pub(super) sender_name: String,
    pub(super) created_at: u64,
}

/// A room as it was last seen.
#[derive(Clone, Copy)]
pub(super) struct KnownRoom {
    /// How it was encrypted when it first was.
    pub(super) mode: Option<Mode>,
    /// Whom it was with first, if it is for two.
    pub(super) other: Option<AccountId>,
    /// Whether it was told that this account is in it.
    pub(super) is_member: bool,
}

pub(super) struct History {
    connection: Connection,
    sealer: Sealer,
}

impl History {
    /// Opens the file, or makes one.
    pub(super) fn open(path: &Path, key: &PickleKey) -> Result<Self, HistoryError> {
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
        let mut connection = Connection::open(path)?;
        connection.pragma_update(None, "secure_delete", true)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let found: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if found > VERSION {
            return Err(HistoryError::Newer { found });
        }
        for step in STEPS.iter().skip(found as usize) {
            transaction.execute_batch(step)?;
        }
        if found < VERSION {
            transaction.pragma_update(None, "user_version", VERSION)?;
        }
        transaction.commit()?;
        Ok(Self { connection, sealer: Sealer::new(key) })
    }

    fn execute(&self, sql: &str, values: impl Params) -> Result<(), HistoryError> {
        self.connection.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    fn one<T>(
        &self,
        sql: &str,
        values: impl Params,
        read: impl FnOnce(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, HistoryError> {
        Ok(self.connection.prepare_cached(sql)?.query_row(values, read).optional()?)
    }

    fn all<T>(
        &self,
        sql: &str,
        values: impl Params,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, HistoryError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let found = statement.query_map(values, read)?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    /// Sealed records, each with what it is called.
    fn records<K: FromSql + AsRef<[u8]>, T: DeserializeOwned>(
        &self,
        sql: &str,
        values: impl Params,
        table: &[u8],
    ) -> Result<Vec<(K, T)>, HistoryError> {
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let found: Vec<(K, Vec<u8>)> = self.all(sql, values, read)?;
        let open = |(id, sealed): (K, Vec<u8>)| {
            let record = self.open_sealed(&sealed, table, id.as_ref())?;
            Ok((id, record))
        };
        found.into_iter().map(open).collect()
    }

    fn seal(
        &self,
        value: &impl Serialize,
        table: &[u8],
        id: &[u8],
    ) -> Result<Vec<u8>, HistoryError> {
        let plain = serde_json::to_vec(value).map_err(|_| HistoryError::Damaged)?;
        let plain = zeroize::Zeroizing::new(plain);
        self.sealer.seal(&plain, &[b"chat", table, id]).map_err(|error| match error {
            SealError::Random(detail) => HistoryError::Io(io::Error::other(detail)),
            SealError::Seal | SealError::Open => HistoryError::Damaged,
        })
    }

    fn open_sealed<T: DeserializeOwned>(
        &self,
        sealed: &[u8],
        table: &[u8],
        id: &[u8],
    ) -> Result<T, HistoryError> {
        let plain = self.sealer.open(sealed, &[b"chat", table, id]);
        let plain = plain.map_err(|_| HistoryError::Damaged)?;
        serde_json::from_slice(&plain).map_err(|_| HistoryError::Damaged)
    }
}

fn moment(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::RoomId;

    #[test]
    fn a_file_of_an_earlier_version_keeps_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, key) = (folder.path().join("chat.db"), PickleKey::new([7; 32]));
        let before = Connection::open(&path).unwrap();
        before.execute_batch(STEPS[0]).unwrap();
        before.execute_batch("INSERT INTO room VALUES (zeroblob(16), 1, 1)").unwrap();
        before.pragma_update(None, "user_version", 1).unwrap();
        drop(before);
        let (room, bob) = (RoomId::from_bytes([0; 16]), AccountId::from_bytes([2; 16]));
        for other in [None, Some(bob)] {
            let history = History::open(&path, &key).unwrap();
            let known = history.rooms().unwrap()[&room];
            assert_eq!((known.mode, known.is_member), (Some(Mode::Direct), true));
            assert_eq!(known.other, other);
            history.note_other(room, bob).unwrap();
        }
    }

    #[test]
    fn a_room_is_with_whom_it_was_first() {
        let folder = tempfile::tempdir().unwrap();
        let key = PickleKey::new([7; 32]);
        let history = History::open(&folder.path().join("chat.db"), &key).unwrap();
        let room = RoomId::from_bytes([1; 16]);
        let [bob, eve] = [2, 3].map(|number| AccountId::from_bytes([number; 16]));
        history.note_other(room, bob).unwrap();
        history.note_mode(room, Mode::Direct).unwrap();
        history.note_member(room, true).unwrap();
        history.note_other(room, eve).unwrap();
        let known = history.rooms().unwrap()[&room];
        assert_eq!((known.mode, known.other), (Some(Mode::Direct), Some(bob)));
    }
}
