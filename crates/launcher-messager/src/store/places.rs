//! Places of ciphertexts: which row each belongs to, and what was in it.
//!
//! The rows of this table stay for as long as the session's key does: what can
//! be decrypted can be replayed. What was in a place is forgotten after a time
//! (`prune_contents`); a place of another device can be decrypted again.

use rusqlite::Row;
use sha2::{Digest, Sha256};
use vodozemac::Curve25519PublicKey;

use super::{
    StoreError,
    table::{Tx, from_moment, moment},
};
use crate::crypto::{AccountId, Content, Place, RowId};

/// What is known of a place.
pub(crate) struct PlaceRow {
    /// The row that it belongs to, once one was seen.
    pub(crate) row: Option<RowId>,
    /// The hash of its ciphertext.
    pub(crate) hash: [u8; 32],
    /// What was in it, unless that was forgotten.
    pub(crate) content: Option<Content>,
}

/// What its sender called a message, as a hash.
pub(crate) fn client_hash(sender: &Curve25519PublicKey, content: &Content) -> [u8; 32] {
    let hash = Sha256::new()
        .chain_update(sender.as_bytes())
        .chain_update(content.room.as_bytes())
        .chain_update([content.action.code()])
        .chain_update(content.client_message_id.as_bytes());
    hash.finalize().into()
}

impl Tx<'_> {
    pub(crate) fn place(
        &self,
        sender: &Curve25519PublicKey,
        place: Place,
    ) -> Result<Option<PlaceRow>, StoreError> {
        let sql = "SELECT row, hash, record FROM place
                   WHERE session = ?1 AND sender = ?2 AND position = ?3";
        let key = (place.session.as_bytes(), sender.as_bytes(), place.index);
        let read = |row: &Row<'_>| {
            let id: Option<[u8; 16]> = row.get(0)?;
            Ok((id, row.get(1)?, row.get::<_, Option<Vec<u8>>>(2)?))
        };
        let Some((row, hash, sealed)) = self.one(sql, key, read)? else { return Ok(None) };
        let open = |sealed: Vec<u8>| {
            let plain = self.sealer().open(&sealed, &Name::new(place).parts(sender))?;
            Content::decode(&plain).map_err(|_| StoreError::damaged("a message"))
        };
        let content = sealed.map(open).transpose()?;
        Ok(Some(PlaceRow { row: row.map(RowId::from_bytes), hash, content }))
    }

    /// Notes a place and what is in it.
    pub(crate) fn put_place(
        &self,
        sender: &Curve25519PublicKey,
        place: Place,
        row: Option<RowId>,
        hash: &[u8; 32],
        content: &Content,
        now: u64,
    ) -> Result<(), StoreError> {
        let name = Name::new(place);
        let sealed = self.sealer().seal(&content.encode(), &name.parts(sender))?;
        self.execute(
            "INSERT INTO place (session, sender, position, row, hash, client, account, is_new,
             seen, record) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            (
                place.session.as_bytes(),
                sender.as_bytes(),
                place.index,
                row.as_ref().map(RowId::as_bytes),
                hash,
                client_hash(sender, content),
                content.sender.account.as_bytes(),
                content.action.target().is_none(),
                moment(now),
                sealed,
            ),
        )
        .map(drop)
    }

    /// Notes which row a place belongs to.
    pub(crate) fn bind_place(
        &self,
        sender: &Curve25519PublicKey,
        place: Place,
        row: RowId,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE place SET row = ?4
                   WHERE session = ?1 AND sender = ?2 AND position = ?3 AND row IS NULL";
        let key = (place.session.as_bytes(), sender.as_bytes(), place.index, row.as_bytes());
        self.execute(sql, key).map(drop)
    }

    /// When a device last wrote in a place, or was first read there.
    pub(crate) fn last_written(
        &self,
        sender: &Curve25519PublicKey,
    ) -> Result<Option<u64>, StoreError> {
        let sql = "SELECT max(seen) FROM place WHERE sender = ?1";
        let last: Option<Option<i64>> = self.one(sql, [sender.as_bytes()], |row| row.get(0))?;
        Ok(last.flatten().map(from_moment))
    }

    /// Whether the sender's name for a message is in another row than this.
    pub(crate) fn is_repeated(&self, client: &[u8; 32], row: RowId) -> Result<bool, StoreError> {
        let sql = "SELECT count(*) FROM place WHERE client = ?1 AND row IS NOT NULL AND row <> ?2";
        Ok(self.count(sql, (client, row.as_bytes()))? > 0)
    }

    /// Whether the row belongs to a place with another name for its message.
    pub(crate) fn is_taken(&self, row: RowId, client: &[u8; 32]) -> Result<bool, StoreError> {
        let sql = "SELECT count(*) FROM place WHERE row = ?1 AND client <> ?2";
        Ok(self.count(sql, (row.as_bytes(), client))? > 0)
    }

    /// Who wrote the message in a row, if it was read.
    pub(crate) fn author(&self, row: RowId) -> Result<Option<AccountId>, StoreError> {
        let sql = "SELECT account FROM place WHERE row = ?1 AND is_new <> 0";
        self.one(sql, [row.as_bytes()], |row| row.get(0).map(AccountId::from_bytes))
    }

    /// Forgets what was in places that were noted before a moment. This
    /// device's own are kept until the server has them.
    pub(crate) fn prune_contents(&self, before: u64) -> Result<(), StoreError> {
        self.execute(
            "UPDATE place SET record = NULL WHERE record IS NOT NULL AND seen < ?1
             AND NOT EXISTS (SELECT 1 FROM outbox WHERE posted IS NULL
                             AND outbox.session = place.session)",
            [moment(before)],
        )
        .map(drop)
    }
}

/// What a place is sealed for.
struct Name([u8; 4], Place);

impl Name {
    fn new(place: Place) -> Self {
        Self(place.index.to_be_bytes(), place)
    }

    fn parts<'a>(&'a self, sender: &'a Curve25519PublicKey) -> [&'a [u8]; 4] {
        [b"place", self.1.session.as_bytes(), sender.as_bytes(), &self.0]
    }
}
