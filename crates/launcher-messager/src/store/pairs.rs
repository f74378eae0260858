//! Olm sessions, and what is to be done about them.

use rusqlite::Row;
use vodozemac::olm::{Session, SessionPickle};

use super::{
    StoreError,
    table::{Tx, from_moment, moment},
};
use crate::crypto::{AccountId, PeerKey};

/// As many sessions are kept with a device. Both may open one at once, and
/// each replaces those that got stuck.
const MAX_SESSIONS: usize = 5;

/// How it stands with a device's sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PeerState {
    /// A message of its could not be read, so a new session is wanted.
    pub(crate) is_wedged: bool,
    /// When a session was last made for that; 0 for never.
    pub(crate) mended: u64,
    /// When no session could be made with it; 0 for never.
    pub(crate) unreachable: u64,
}

impl Tx<'_> {
    /// The sessions with a device; the first is the one to send with.
    pub(crate) fn pairs(&self, peer: &PeerKey) -> Result<Vec<Session>, StoreError> {
        let sql = "SELECT session, record FROM pair WHERE peer = ?1 ORDER BY used DESC";
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let rows: Vec<(Vec<u8>, Vec<u8>)> = self.all(sql, [peer.as_bytes()], read)?;
        let open = |(session, sealed): (Vec<u8>, Vec<u8>)| {
            let pickle: SessionPickle =
                self.open(&sealed, &[b"pair", peer.as_bytes(), &session])?;
            Ok(Session::from_pickle(pickle))
        };
        rows.into_iter().map(open).collect()
    }

    pub(crate) fn has_pair(&self, peer: &PeerKey) -> Result<bool, StoreError> {
        let sql = "SELECT count(*) FROM pair WHERE peer = ?1";
        Ok(self.count(sql, [peer.as_bytes()])? > 0)
    }

    /// Keeps a session that was used to send; its rank stays.
    pub(crate) fn put_pair(&self, peer: &PeerKey, session: &Session) -> Result<(), StoreError> {
        let id = session.session_id();
        let sealed = self.seal(&session.pickle(), &[b"pair", peer.as_bytes(), id.as_bytes()])?;
        let sql = "UPDATE pair SET record = ?3 WHERE peer = ?1 AND session = ?2";
        self.execute(sql, (peer.as_bytes(), id.as_bytes(), sealed)).map(drop)
    }

    /// Keeps a session that is new, or that a message came by, as the one to
    /// send with. The ones that nothing came by for longest make room.
    pub(crate) fn prefer_pair(&self, peer: &PeerKey, session: &Session) -> Result<(), StoreError> {
        let (key, id) = (peer.as_bytes(), session.session_id());
        let sealed = self.seal(&session.pickle(), &[b"pair", key, id.as_bytes()])?;
        self.execute(
            "INSERT OR REPLACE INTO pair (peer, session, used, record) VALUES (?1, ?2,
             (SELECT coalesce(max(used), 0) + 1 FROM pair WHERE peer = ?1), ?3)",
            (key, id.as_bytes(), sealed),
        )?;
        self.execute(
            "DELETE FROM pair WHERE peer = ?1 AND session NOT IN
             (SELECT session FROM pair WHERE peer = ?1 ORDER BY used DESC LIMIT ?2)",
            (key, MAX_SESSIONS),
        )
        .map(drop)
    }

    pub(crate) fn peer(&self, peer: &PeerKey) -> Result<PeerState, StoreError> {
        let sql = "SELECT is_wedged, mended, unreachable FROM peer WHERE peer = ?1";
        let read = |row: &Row<'_>| {
            Ok(PeerState {
                is_wedged: row.get(0)?,
                mended: from_moment(row.get(1)?),
                unreachable: from_moment(row.get(2)?),
            })
        };
        Ok(self.one(sql, [peer.as_bytes()], read)?.unwrap_or_default())
    }

    pub(crate) fn put_peer(
        &self,
        peer: &PeerKey,
        account: AccountId,
        state: PeerState,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT OR REPLACE INTO peer (peer, account, is_wedged, mended, unreachable)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            (
                peer.as_bytes(),
                account.as_bytes(),
                state.is_wedged,
                moment(state.mended),
                moment(state.unreachable),
            ),
        )
        .map(drop)
    }

    /// Accounts of devices that need a new session, and were not given one for so
    /// long; or are said to be given one at a moment that is not there yet, by a
    /// clock that was ahead.
    pub(crate) fn wedged_accounts(
        &self,
        now: u64,
        pause: u64,
    ) -> Result<Vec<AccountId>, StoreError> {
        let sql = "SELECT DISTINCT account FROM peer
                   WHERE is_wedged <> 0 AND (mended <= ?1 OR mended > ?2)";
        let read = |row: &Row<'_>| row.get(0).map(AccountId::from_bytes);
        self.all(sql, (moment(now.saturating_sub(pause)), moment(now)), read)
    }

    /// Notes that an envelope was read; `false` if it was before.
    pub(crate) fn note_envelope(&self, hash: &[u8; 32], now: u64) -> Result<bool, StoreError> {
        let sql = "INSERT OR IGNORE INTO envelope (hash, arrived) VALUES (?1, ?2)";
        Ok(self.execute(sql, (hash, moment(now)))? > 0)
    }

    pub(crate) fn knows_envelope(&self, hash: &[u8; 32]) -> Result<bool, StoreError> {
        Ok(self.count("SELECT count(*) FROM envelope WHERE hash = ?1", [hash])? > 0)
    }

    pub(crate) fn prune_envelopes(&self, before: u64) -> Result<(), StoreError> {
        self.execute("DELETE FROM envelope WHERE arrived < ?1", [moment(before)]).map(drop)
    }
}
