//! Rows that were handed out, and rows whose key is missing.

use super::{History, HistoryError, LockedRow, moment};
use crate::{
    chat::Message,
    crypto::{RoomId, RowId},
};

/// How far before the last row is asked again, in milliseconds: servers of more
/// than one process show rows a little out of order.
const MARGIN: u64 = 10 * 1000;

/// How many rows without a key are kept at most. A server can invent rows
/// without end.
const MOST_LOCKED: i64 = 1000;

impl History {
    /// From where rows are to be asked for; `None` before the first time.
    pub(in crate::chat) fn position(&self) -> Result<Option<u64>, HistoryError> {
        let found = self.one("SELECT position FROM value", [], |row| row.get::<_, i64>(0))?;
        Ok(found.map(|position| u64::try_from(position).unwrap_or_default()))
    }

    /// Where this device begins.
    pub(in crate::chat) fn begin(&self, position: u64) -> Result<(), HistoryError> {
        self.execute("INSERT OR IGNORE INTO value VALUES (1, ?1)", [moment(position)])
    }

    /// Whether a row was handed out.
    pub(in crate::chat) fn has(&self, row: RowId) -> Result<bool, HistoryError> {
        let sql = "SELECT 1 FROM row WHERE row = ?1";
        Ok(self.one(sql, [row.as_bytes()], |_| Ok(()))?.is_some())
    }

    /// A row was handed out, with the message that it is. Where rows are asked for
    /// from follows it, but never beyond `now`.
    pub(in crate::chat) fn handed_out(
        &mut self,
        (row, room, created_at): (RowId, RoomId, u64),
        message: Option<&Message>,
        now: u64,
    ) -> Result<(), HistoryError> {
        let record =
            message.map(|message| self.seal(message, b"row", row.as_bytes())).transpose()?;
        let transaction = self.connection.transaction()?;
        transaction.execute(
            "INSERT INTO row (row, room, created_at, record) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET record = coalesce(excluded.record, record)",
            (row.as_bytes(), room.as_bytes(), moment(created_at), record),
        )?;
        let position = moment(created_at.min(now).saturating_sub(MARGIN));
        transaction.execute("UPDATE value SET position = max(position, ?1)", [position])?;
        Ok(transaction.commit()?)
    }

    /// What a message says now, if it was handed out and is not deleted.
    pub(in crate::chat) fn message(&self, row: RowId) -> Result<Option<Message>, HistoryError> {
        let sql = "SELECT record FROM row WHERE row = ?1 AND record IS NOT NULL";
        let sealed = self.one(sql, [row.as_bytes()], |found| found.get::<_, Vec<u8>>(0))?;
        sealed.map(|sealed| self.open_sealed(&sealed, b"row", row.as_bytes())).transpose()
    }

    /// The last messages of a room, the oldest first.
    pub(in crate::chat) fn messages(
        &self,
        room: RoomId,
        most: usize,
    ) -> Result<Vec<Message>, HistoryError> {
        let sql = "SELECT row, record FROM row WHERE room = ?1 AND record IS NOT NULL
                   ORDER BY created_at DESC LIMIT ?2";
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let found: Vec<([u8; 16], _)> = self.records(sql, (room.as_bytes(), most), b"row")?;
        Ok(found.into_iter().rev().map(|(_, message)| message).collect())
    }

    /// A message says something else, if it was handed out.
    pub(in crate::chat) fn change(&self, message: &Message) -> Result<(), HistoryError> {
        let record = self.seal(message, b"row", message.row.as_bytes())?;
        let sql = "UPDATE row SET record = ?2 WHERE row = ?1 AND record IS NOT NULL";
        self.execute(sql, (message.row.as_bytes(), record))
    }

    /// What a message said is not kept.
    pub(in crate::chat) fn erase(&self, row: RowId) -> Result<(), HistoryError> {
        self.execute("UPDATE row SET record = NULL WHERE row = ?1", [row.as_bytes()])?;
        self.unlocked(row)
    }

    /// Keeps a row whose key is missing; `false` if there are too many.
    pub(in crate::chat) fn lock(&self, locked: &LockedRow) -> Result<bool, HistoryError> {
        let count = self.one("SELECT count(*) FROM locked", [], |row| row.get::<_, i64>(0))?;
        if count.unwrap_or_default() >= MOST_LOCKED {
            return Ok(false);
        }
        let id = locked.row.id;
        let record = self.seal(locked, b"locked", id.as_bytes())?;
        let sql = "INSERT OR IGNORE INTO locked VALUES (?1, ?2, ?3, ?4)";
        let room = locked.row.room;
        let at = moment(locked.created_at);
        self.execute(sql, (id.as_bytes(), room.as_bytes(), at, record))?;
        Ok(true)
    }

    /// Rows whose key was missing, of one room or of all, the oldest first.
    pub(in crate::chat) fn locked(&self, room: Option<RoomId>) -> Result<Vec<RowId>, HistoryError> {
        let sql = "SELECT row FROM locked WHERE ?1 IS NULL OR room = ?1 ORDER BY created_at";
        let room = room.as_ref().map(RoomId::as_bytes);
        self.all(sql, [room], |found| found.get(0).map(RowId::from_bytes))
    }

    /// One of them.
    pub(in crate::chat) fn locked_row(
        &self,
        row: RowId,
    ) -> Result<Option<LockedRow>, HistoryError> {
        let sql = "SELECT record FROM locked WHERE row = ?1";
        let sealed = self.one(sql, [row.as_bytes()], |found| found.get::<_, Vec<u8>>(0))?;
        sealed.map(|sealed| self.open_sealed(&sealed, b"locked", row.as_bytes())).transpose()
    }

    pub(in crate::chat) fn unlocked(&self, row: RowId) -> Result<(), HistoryError> {
        self.execute("DELETE FROM locked WHERE row = ?1", [row.as_bytes()])
    }

    /// Rows whose key never came are given up.
    pub(in crate::chat) fn prune_locked(&self, before: u64) -> Result<(), HistoryError> {
        self.execute("DELETE FROM locked WHERE created_at < ?1", [moment(before)])
    }
}
