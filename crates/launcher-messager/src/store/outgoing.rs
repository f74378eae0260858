//! What the server does not have yet, and what is asked for.

use rusqlite::Row;
use vodozemac::Curve25519PublicKey;

use super::{
    StoreError,
    table::{Tx, moment},
};
use crate::crypto::{
    AccountId, Address, DeviceName, EnvelopeKind, Place, RoomId, RowId, SealedRow, SessionId,
};

/// A row of this device's.
pub(crate) struct OutboxRow {
    pub(crate) room: RoomId,
    pub(crate) place: Place,
    pub(crate) epoch: u64,
    /// Gone when the server has it.
    pub(crate) ciphertext: Option<Vec<u8>>,
    /// The row at the server.
    pub(crate) posted: Option<RowId>,
}

/// An envelope for one device.
#[derive(Clone)]
pub(crate) struct OutgoingRow {
    pub(crate) number: i64,
    pub(crate) to: Address,
    pub(crate) kind: EnvelopeKind,
    pub(crate) room: Option<RoomId>,
    pub(crate) session: Option<SessionId>,
    pub(crate) client: String,
    pub(crate) ciphertext: Vec<u8>,
}

/// A session of which there are rows and no key.
pub(crate) struct MissingRow {
    pub(crate) session: SessionId,
    pub(crate) sender: Curve25519PublicKey,
    pub(crate) room: RoomId,
    pub(crate) account: AccountId,
    pub(crate) asked: u32,
}

/// How many sessions can be missing.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) asked_of_account: u32,
    pub(crate) remembered_of_account: u32,
    pub(crate) remembered: u32,
}

/// A device that has asked for a session's key.
pub(crate) struct AskRow {
    pub(crate) session: SessionId,
    pub(crate) from: Address,
    pub(crate) room: RoomId,
}

impl Tx<'_> {
    pub(crate) fn outbox(&self, client: &str) -> Result<Option<OutboxRow>, StoreError> {
        let sql = "SELECT room, session, position, epoch, ciphertext, posted FROM outbox
                   WHERE client = ?1";
        let read = |row: &Row<'_>| {
            let session = SessionId::from_bytes(row.get(1)?);
            Ok(OutboxRow {
                room: row.get(0).map(RoomId::from_bytes)?,
                place: Place { session, index: row.get(2)? },
                epoch: row
                    .get::<_, i64>(3)
                    .map(|epoch| u64::try_from(epoch).unwrap_or_default())?,
                ciphertext: row.get(4)?,
                posted: row.get::<_, Option<[u8; 16]>>(5)?.map(RowId::from_bytes),
            })
        };
        self.one(sql, [client], read)
    }

    /// Notes a row before it leaves, instead of an earlier attempt.
    pub(crate) fn put_outbox(
        &self,
        row: &SealedRow,
        place: Place,
        now: u64,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT OR REPLACE INTO outbox
             (client, room, session, position, epoch, ciphertext, posted, made)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, NULL, ?7)",
            (
                &row.client_message_id,
                row.room.as_bytes(),
                place.session.as_bytes(),
                place.index,
                row.epoch,
                &row.ciphertext,
                moment(now),
            ),
        )
        .map(drop)
    }

    /// The server has the row.
    pub(crate) fn posted(&self, client: &str, row: RowId) -> Result<(), StoreError> {
        let sql = "UPDATE outbox SET posted = ?2, ciphertext = NULL
                   WHERE client = ?1 AND posted IS NULL";
        self.execute(sql, (client, row.as_bytes())).map(drop)
    }

    /// Forgets rows that the server has had for a while, and those that it has not
    /// had for long: tried once more, they are encrypted anew under their names.
    pub(crate) fn prune_outbox(&self, posted: u64, unposted: u64) -> Result<(), StoreError> {
        let sql = "DELETE FROM outbox
                   WHERE made < iif(posted IS NULL, ?2, ?1)";
        self.execute(sql, (moment(posted), moment(unposted))).map(drop)
    }

    /// Envelopes that wait: those with the key of a session, or all.
    pub(crate) fn outgoing(
        &self,
        session: Option<SessionId>,
    ) -> Result<Vec<OutgoingRow>, StoreError> {
        let sql = "SELECT number, account, device, kind, room, session, client, ciphertext
                   FROM outgoing WHERE ?1 IS NULL OR session = ?1 ORDER BY number";
        let read = |row: &Row<'_>| {
            let device = DeviceName::new(row.get::<_, String>(2)?)
                .map_err(|_| rusqlite::Error::InvalidQuery)?;
            Ok(OutgoingRow {
                number: row.get(0)?,
                to: Address::new(AccountId::from_bytes(row.get(1)?), device),
                kind: EnvelopeKind::from_number(row.get(3)?)
                    .ok_or(rusqlite::Error::InvalidQuery)?,
                room: row.get::<_, Option<[u8; 16]>>(4)?.map(RoomId::from_bytes),
                session: row.get::<_, Option<[u8; 32]>>(5)?.map(SessionId::from_bytes),
                client: row.get(6)?,
                ciphertext: row.get(7)?,
            })
        };
        self.all(sql, [session.as_ref().map(SessionId::as_bytes)], read)
    }

    /// Notes an envelope before it leaves; its `number` is not looked at.
    pub(crate) fn put_outgoing(&self, envelope: &OutgoingRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO outgoing (account, device, kind, room, session, client, ciphertext)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            (
                envelope.to.account.as_bytes(),
                envelope.to.device.as_str(),
                envelope.kind.number(),
                envelope.room.as_ref().map(RoomId::as_bytes),
                envelope.session.as_ref().map(SessionId::as_bytes),
                &envelope.client,
                &envelope.ciphertext,
            ),
        )
        .map(drop)
    }

    pub(crate) fn forget_outgoing(&self, number: i64) -> Result<(), StoreError> {
        self.execute("DELETE FROM outgoing WHERE number = ?1", [number]).map(drop)
    }

    /// Notes that a session's key is missing, unless too many are. Those that
    /// are asked for no more make room.
    pub(crate) fn note_missing(
        &self,
        missing: &MissingRow,
        limits: Limits,
        times: u32,
        now: u64,
        next_ask: u64,
    ) -> Result<bool, StoreError> {
        let key = (missing.session.as_bytes(), missing.sender.as_bytes());
        let known = "SELECT count(*) FROM missing WHERE session = ?1 AND sender = ?2";
        if self.count(known, key)? > 0 {
            return Ok(true);
        }
        let account = missing.account.as_bytes();
        let sql = "SELECT count(*) FROM missing WHERE account = ?1 AND asked < ?2";
        if self.count(sql, (account, times))? >= i64::from(limits.asked_of_account) {
            return Ok(false);
        }
        let of_account =
            self.count("SELECT count(*) FROM missing WHERE account = ?1", [account])?;
        if of_account >= i64::from(limits.remembered_of_account)
            && !self.forget_done(Some(missing.account), times)?
        {
            return Ok(false);
        }
        let all = self.count("SELECT count(*) FROM missing", [])?;
        if all >= i64::from(limits.remembered) && !self.forget_done(None, times)? {
            return Ok(false);
        }
        let sql = "INSERT INTO missing
                   (session, sender, room, account, first_seen, asked, next_ask)
                   VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6)";
        let values =
            (key.0, key.1, missing.room.as_bytes(), account, moment(now), moment(next_ask));
        self.execute(sql, values)?;
        Ok(true)
    }

    /// Forgets the oldest session that is asked for no more, of an account or of
    /// all; `false` if there is none.
    fn forget_done(&self, account: Option<AccountId>, times: u32) -> Result<bool, StoreError> {
        let sql = "DELETE FROM missing WHERE (session, sender) IN (
                     SELECT session, sender FROM missing
                     WHERE asked >= ?1 AND (?2 IS NULL OR account = ?2)
                     ORDER BY first_seen LIMIT 1)";
        let account = account.as_ref().map(AccountId::as_bytes);
        Ok(self.execute(sql, (times, account))? > 0)
    }

    /// Sessions that are to be asked for now. One that would have to wait for more
    /// than `longest` was noted by a clock that was ahead.
    pub(crate) fn missing(
        &self,
        now: u64,
        longest: u64,
        times: u32,
    ) -> Result<Vec<MissingRow>, StoreError> {
        let sql = "SELECT session, sender, room, account, asked FROM missing
                   WHERE (next_ask <= ?1 OR next_ask > ?2) AND asked < ?3";
        let read = |row: &Row<'_>| {
            Ok(MissingRow {
                session: SessionId::from_bytes(row.get(0)?),
                sender: Curve25519PublicKey::from_bytes(row.get(1)?),
                room: RoomId::from_bytes(row.get(2)?),
                account: AccountId::from_bytes(row.get(3)?),
                asked: row.get(4)?,
            })
        };
        self.all(sql, (moment(now), moment(now.saturating_add(longest)), times), read)
    }

    pub(crate) fn note_asked(
        &self,
        missing: &MissingRow,
        asked: u32,
        next_ask: u64,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE missing SET asked = ?3, next_ask = ?4 WHERE session = ?1 AND sender = ?2";
        let (session, sender) = (missing.session.as_bytes(), missing.sender.as_bytes());
        self.execute(sql, (session, sender, asked, moment(next_ask))).map(drop)
    }

    /// The key is there; `false` if it was not missed.
    pub(crate) fn not_missing(
        &self,
        session: SessionId,
        sender: &Curve25519PublicKey,
    ) -> Result<bool, StoreError> {
        let sql = "DELETE FROM missing WHERE session = ?1 AND sender = ?2";
        Ok(self.execute(sql, (session.as_bytes(), sender.as_bytes()))? > 0)
    }

    pub(crate) fn prune_missing(&self, before: u64) -> Result<(), StoreError> {
        self.execute("DELETE FROM missing WHERE first_seen < ?1", [moment(before)]).map(drop)
    }

    /// Counts a device's asking for a session; how often it has now asked.
    pub(crate) fn note_ask(&self, ask: &AskRow) -> Result<u32, StoreError> {
        let sql = "INSERT INTO ask (session, account, device, room, times, pending)
                   VALUES (?1, ?2, ?3, ?4, 1, 0)
                   ON CONFLICT DO UPDATE SET times = times + 1 RETURNING times";
        let (account, device) = (ask.from.account.as_bytes(), ask.from.device.as_str());
        let values = (ask.session.as_bytes(), account, device, ask.room.as_bytes());
        Ok(self.one(sql, values, |row| row.get(0))?.unwrap_or_default())
    }

    pub(crate) fn set_pending(&self, ask: &AskRow, pending: bool) -> Result<bool, StoreError> {
        let sql = "UPDATE ask SET pending = ?4
                   WHERE session = ?1 AND account = ?2 AND device = ?3 AND pending <> ?4";
        let (account, device) = (ask.from.account.as_bytes(), ask.from.device.as_str());
        Ok(self.execute(sql, (ask.session.as_bytes(), account, device, pending))? > 0)
    }

    /// How often the device has asked for the session.
    pub(crate) fn times_asked(&self, ask: &AskRow) -> Result<u32, StoreError> {
        let sql = "SELECT times FROM ask WHERE session = ?1 AND account = ?2 AND device = ?3";
        let (account, device) = (ask.from.account.as_bytes(), ask.from.device.as_str());
        let values = (ask.session.as_bytes(), account, device);
        Ok(self.one(sql, values, |row| row.get(0))?.unwrap_or_default())
    }

    /// Devices that wait for an answer.
    pub(crate) fn asks(&self) -> Result<Vec<AskRow>, StoreError> {
        let sql = "SELECT session, account, device, room FROM ask WHERE pending <> 0";
        let read = |row: &Row<'_>| {
            let device = DeviceName::new(row.get::<_, String>(2)?)
                .map_err(|_| rusqlite::Error::InvalidQuery)?;
            Ok(AskRow {
                session: SessionId::from_bytes(row.get(0)?),
                from: Address::new(AccountId::from_bytes(row.get(1)?), device),
                room: RoomId::from_bytes(row.get(3)?),
            })
        };
        self.all(sql, [], read)
    }
}
