//! Megolm sessions: the one to send with in a room, those that were sent with,
//! and those of others.

use rusqlite::Row;
use serde::{Deserialize, Serialize};
use vodozemac::{
    Curve25519PublicKey, Ed25519PublicKey,
    megolm::{GroupSessionPickle, InboundGroupSessionPickle},
};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{
    StoreError,
    table::{Tx, moment},
};
use crate::crypto::{Address, Circle, RoomId, SessionId};

/// As many sessions of one device are kept with which nothing was read yet.
const MOST_UNREAD: i64 = 500;

/// The session that a room's next message goes into.
#[derive(Serialize, Deserialize)]
pub(crate) struct GroupOut {
    pub(crate) session: GroupSessionPickle,
    pub(crate) made: u64,
}

/// A session of this device, as it was when it began.
#[derive(Serialize, Deserialize)]
pub(crate) struct SentRecord {
    pub(crate) room: RoomId,
    pub(crate) epoch: u64,
    /// The session's key at its first index, base64.
    pub(crate) key: SealedKey,
    /// Whom it is for.
    pub(crate) circle: Circle,
}

/// A session key as text, wiped when dropped.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub(crate) struct SealedKey(pub(crate) String);

/// A session of another device.
#[derive(Serialize, Deserialize)]
pub(crate) struct InboundRecord {
    pub(crate) session: InboundGroupSessionPickle,
    pub(crate) room: RoomId,
    pub(crate) epoch: u64,
    /// Whose it is.
    pub(crate) owner: Address,
    pub(crate) ed25519: Ed25519PublicKey,
}

impl Tx<'_> {
    /// The number for the next session of this device in the room.
    pub(crate) fn next_epoch(&self, room: RoomId) -> Result<u64, StoreError> {
        let sql = "INSERT INTO room (room, epoch) VALUES (?1, 1)
                   ON CONFLICT DO UPDATE SET epoch = epoch + 1 RETURNING epoch";
        let epoch = self.one(sql, [room.as_bytes()], |row| row.get::<_, i64>(0))?;
        let epoch = epoch.and_then(|epoch| u64::try_from(epoch).ok());
        epoch.ok_or(StoreError::damaged("the table of rooms"))
    }

    pub(crate) fn group_out(
        &self,
        room: RoomId,
    ) -> Result<Option<(SessionId, GroupOut)>, StoreError> {
        let key = room.as_bytes();
        let sql = "SELECT session, record FROM group_out WHERE room = ?1";
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let Some((session, sealed)): Option<([u8; 32], Vec<u8>)> = self.one(sql, [key], read)?
        else {
            return Ok(None);
        };
        let record = self.open(&sealed, &[b"group_out", key, &session])?;
        Ok(Some((SessionId::from_bytes(session), record)))
    }

    pub(crate) fn put_group_out(
        &self,
        room: RoomId,
        session: SessionId,
        record: &GroupOut,
    ) -> Result<(), StoreError> {
        let (key, session) = (room.as_bytes(), session.as_bytes());
        let sealed = self.seal(record, &[b"group_out", key, session])?;
        let sql = "INSERT OR REPLACE INTO group_out (room, session, record) VALUES (?1, ?2, ?3)";
        self.execute(sql, (key, session, sealed)).map(drop)
    }

    /// Forgets the sessions that rooms' next messages would go into, of all rooms.
    pub(crate) fn forget_groups_out(&self) -> Result<(), StoreError> {
        self.execute("DELETE FROM group_out", []).map(drop)
    }

    /// Has nothing more be sent with the room's sessions, nor sent again.
    pub(crate) fn retire(&self, room: RoomId) -> Result<(), StoreError> {
        let key = room.as_bytes();
        self.execute("DELETE FROM group_out WHERE room = ?1", [key])?;
        let sql = "UPDATE group_sent SET retired = 1 WHERE room = ?1 AND retired = 0";
        self.execute(sql, [key]).map(drop)
    }

    /// A session of this device, and whether it was retired.
    pub(crate) fn sent(
        &self,
        session: SessionId,
    ) -> Result<Option<(SentRecord, bool)>, StoreError> {
        let key = session.as_bytes();
        let sql = "SELECT record, retired FROM group_sent WHERE session = ?1";
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let found: Option<(Vec<u8>, bool)> = self.one(sql, [key], read)?;
        let open = |(sealed, retired): (Vec<u8>, bool)| {
            Ok((self.open(&sealed, &[b"sent", key])?, retired))
        };
        found.map(open).transpose()
    }

    pub(crate) fn put_sent(
        &self,
        session: SessionId,
        record: &SentRecord,
        now: u64,
    ) -> Result<(), StoreError> {
        let key = session.as_bytes();
        let sealed = self.seal(record, &[b"sent", key])?;
        self.execute(
            "INSERT INTO group_sent (session, room, made, retired, record)
             VALUES (?1, ?2, ?3, 0, ?4)",
            (key, record.room.as_bytes(), moment(now), sealed),
        )
        .map(drop)
    }

    /// Forgets sessions of this device that are too old to be asked for.
    pub(crate) fn prune_sent(&self, before: u64) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM group_sent WHERE made < ?1
             AND session NOT IN (SELECT session FROM group_out)
             AND session NOT IN (SELECT session FROM outbox WHERE posted IS NULL)",
            [moment(before)],
        )?;
        let sql = "DELETE FROM ask WHERE session NOT IN (SELECT session FROM group_sent)";
        self.execute(sql, []).map(drop)
    }

    pub(crate) fn inbound(
        &self,
        session: SessionId,
        sender: &Curve25519PublicKey,
    ) -> Result<Option<InboundRecord>, StoreError> {
        let (key, sender) = (session.as_bytes(), sender.as_bytes());
        let sql = "SELECT record FROM group_in WHERE session = ?1 AND sender = ?2";
        let sealed: Option<Vec<u8>> = self.one(sql, [key, sender], |row| row.get(0))?;
        sealed.map(|sealed| self.open(&sealed, &[b"group_in", key, sender])).transpose()
    }

    pub(crate) fn put_inbound(
        &self,
        session: SessionId,
        sender: &Curve25519PublicKey,
        record: &InboundRecord,
        now: u64,
    ) -> Result<(), StoreError> {
        let (key, sender) = (session.as_bytes(), sender.as_bytes());
        let sealed = self.seal(record, &[b"group_in", key, sender])?;
        let sql = "INSERT INTO group_in (session, sender, record, unread_since)
                   VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET record = excluded.record";
        self.execute(sql, (key, sender, sealed, moment(now)))?;
        // Anybody can give keys of sessions in which nothing is ever written.
        let sql = "DELETE FROM group_in WHERE (session, sender) IN (
                     SELECT session, sender FROM group_in
                     WHERE sender = ?1 AND unread_since IS NOT NULL AND session <> ?2
                     ORDER BY unread_since DESC LIMIT -1 OFFSET ?3)";
        self.execute(sql, (sender, key, MOST_UNREAD - 1)).map(drop)
    }

    /// Something was read with the session, so its key stays.
    pub(crate) fn note_read_with(
        &self,
        session: SessionId,
        sender: &Curve25519PublicKey,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE group_in SET unread_since = NULL
                   WHERE session = ?1 AND sender = ?2 AND unread_since IS NOT NULL";
        self.execute(sql, (session.as_bytes(), sender.as_bytes())).map(drop)
    }

    /// Forgets sessions of others with which nothing was read in all that time.
    pub(crate) fn prune_unread(&self, before: u64) -> Result<(), StoreError> {
        let sql = "DELETE FROM group_in WHERE unread_since < ?1";
        self.execute(sql, [moment(before)]).map(drop)
    }
}
