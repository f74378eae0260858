//! The table `megolm`: which ciphertexts of which session were there.
//!
//! A Megolm session has one sender, and each of its indexes belongs to one
//! message (spec 11.12.2.2): whatever comes under the same index again is a replay.

use launcher_core::names::{RoomId, UserId};
use launcher_runtime::ports::journal::{Ciphertext, Duplicate};
use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

use crate::{index_set::IndexSet, trouble::Trouble};

/// Notes a ciphertext, unless there is something wrong with it.
pub(crate) fn note(
    connection: &Connection,
    room: &RoomId,
    sender: &UserId,
    ciphertext: &Ciphertext,
) -> Result<Option<Duplicate>, Trouble> {
    let session = session_key(room, &ciphertext.session);
    let found: Option<(String, Vec<u8>)> = connection
        .prepare_cached("SELECT sender, indexes FROM megolm WHERE session = ?1")?
        .query_row([session], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let mut indexes = match found {
        None => IndexSet::default(),
        Some((owner, _)) if owner != sender.as_str() => return Ok(Some(Duplicate::OtherSender)),
        Some((_, indexes)) => IndexSet::decode(&indexes)?,
    };
    if !indexes.insert(ciphertext.index) {
        return Ok(Some(Duplicate::Replayed));
    }
    connection
        .prepare_cached(
            "INSERT INTO megolm (session, sender, indexes) VALUES (?1, ?2, ?3)
             ON CONFLICT (session) DO UPDATE SET indexes = excluded.indexes",
        )?
        .execute(params![session, sender.as_str(), indexes.encode()])?;
    Ok(None)
}

/// What a session is found under: long enough that no two meet by chance or on purpose.
fn session_key(room: &RoomId, session: &str) -> [u8; 16] {
    let hash = Sha256::new()
        .chain_update(room.as_str())
        .chain_update([0])
        .chain_update(session)
        .finalize();
    let mut key = [0; 16];
    key.copy_from_slice(&hash[..16]);
    key
}
