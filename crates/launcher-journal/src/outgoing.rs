//! The table `outgoing`: messages that an operator has the agent send, by the
//! key that names each.

use std::{borrow::Cow, time::Duration};

use launcher_core::names::{DeviceId, EventId, RoomId};
use launcher_runtime::ports::journal::{OutgoingRecord, Stamp};
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    seal::{Place, Sealer},
    sent, stamps,
    trouble::Trouble,
};

/// How long a key is remembered after its message was first tried.
const MEMORY: Duration = Duration::from_secs(30 * 86_400);

/// Everything of an [`OutgoingRecord`] that has no column of its own.
#[derive(Serialize, Deserialize)]
struct Content<'a> {
    room: Cow<'a, str>,
    digest: Cow<'a, str>,
    transaction: Cow<'a, str>,
    device: Cow<'a, str>,
    event: Option<Cow<'a, str>>,
}

/// What is known under a key.
pub(crate) fn find(
    connection: &Connection,
    sealer: &Sealer,
    key: &str,
) -> Result<Option<OutgoingRecord>, Trouble> {
    let key = name(key);
    let found: Option<(i64, Vec<u8>)> = connection
        .prepare_cached("SELECT at, sealed FROM outgoing WHERE key = ?1")?
        .query_row([&key], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((at, sealed)) = found else { return Ok(None) };
    // One that does not open was tampered with; to forget it would be to send again.
    let content: Content<'_> = sealer
        .open(&sealed, &Place::new(&["outgoing", &key]))
        .map_err(|_| Trouble::Damaged("the record of a sent message does not open".to_owned()))?;
    Ok(Some(OutgoingRecord {
        room: RoomId::new(content.room),
        digest: content.digest.into_owned(),
        transaction: content.transaction.into_owned(),
        device: DeviceId::new(content.device),
        began: stamps::from_column(at),
        event: content.event.map(EventId::new),
    }))
}

/// Replaces what is known under a key; notes its transaction if it is about to
/// be sent.
pub(crate) fn keep(
    connection: &Connection,
    sealer: &Sealer,
    key: &str,
    record: &OutgoingRecord,
    now: Stamp,
) -> Result<(), Trouble> {
    let key = name(key);
    let content = Content {
        room: record.room.as_str().into(),
        digest: record.digest.as_str().into(),
        transaction: record.transaction.as_str().into(),
        device: record.device.as_str().into(),
        event: record.event.as_ref().map(|event| event.as_str().into()),
    };
    let sealed = sealer.seal(&content, &Place::new(&["outgoing", &key]))?;
    connection
        .prepare_cached(
            "INSERT INTO outgoing (key, at, sealed) VALUES (?1, ?2, ?3)
             ON CONFLICT (key) DO UPDATE SET at = excluded.at, sealed = excluded.sealed",
        )?
        .execute(params![key, stamps::to_column(record.began), sealed])?;
    if record.event.is_none() {
        sent::note(connection, &record.transaction, now)?;
    }
    Ok(())
}

/// Forgets what is old.
pub(crate) fn prune(connection: &Connection, now: Stamp) -> rusqlite::Result<()> {
    let old = stamps::to_column(now.minus(MEMORY));
    connection.execute("DELETE FROM outgoing WHERE at < ?1", [old]).map(drop)
}

/// A key can say what a message is about, so only its hash is kept.
fn name(key: &str) -> String {
    Sha256::digest(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
