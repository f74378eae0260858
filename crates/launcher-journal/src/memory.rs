//! The tables `memory`, `work` and `draft`: what behaviors remember, and how far
//! they are.

use base64::{Engine, engine::general_purpose::STANDARD};
use launcher_core::names::EventId;
use launcher_runtime::ports::{
    Memory,
    journal::{Draft, Number, Stamp},
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    seal::{Place, SealError, Sealer},
    sent,
    trouble::Trouble,
};

/// Remembers, or forgets.
pub(crate) fn remember(
    connection: &Connection,
    sealer: &Sealer,
    memories: &[Memory],
) -> Result<(), Trouble> {
    for Memory { key, value } in memories {
        match value {
            Some(value) => {
                let sealed = sealer.seal(&STANDARD.encode(value), &Place::new(&["memory", key]))?;
                connection
                    .prepare_cached(
                        "INSERT INTO memory (key, sealed) VALUES (?1, ?2)
                         ON CONFLICT (key) DO UPDATE SET sealed = excluded.sealed",
                    )?
                    .execute(params![key, sealed])?;
            }
            None => {
                connection.prepare_cached("DELETE FROM memory WHERE key = ?1")?.execute([key])?;
            }
        }
    }
    Ok(())
}

/// What is remembered under a key.
pub(crate) fn recall(
    connection: &Connection,
    sealer: &Sealer,
    key: &str,
) -> Result<Option<Vec<u8>>, Trouble> {
    let sealed: Option<Vec<u8>> = connection
        .prepare_cached("SELECT sealed FROM memory WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()?;
    sealed.map_or(Ok(None), |sealed| opened(sealer, &sealed, &["memory", key]))
}

/// Everything under keys that start with `prefix`, by key.
pub(crate) fn recall_all(
    connection: &Connection,
    sealer: &Sealer,
    prefix: &str,
) -> Result<Vec<Memory>, Trouble> {
    let mut statement = connection.prepare_cached(
        "SELECT key, sealed FROM memory WHERE substr(key, 1, length(?1)) = ?1 ORDER BY key",
    )?;
    let mut rows = statement.query([prefix])?;
    let mut memories = Vec::new();
    while let Some(row) = rows.next()? {
        let (key, sealed): (String, Vec<u8>) = (row.get(0)?, row.get(1)?);
        let value = opened(sealer, &sealed, &["memory", &key])?;
        memories.push(Memory { key, value });
    }
    Ok(memories)
}

/// What does not open is lost, and holds nobody up.
fn opened(sealer: &Sealer, sealed: &[u8], place: &[&str]) -> Result<Option<Vec<u8>>, Trouble> {
    match sealer.open::<String>(sealed, &Place::new(place)) {
        Ok(text) => Ok(STANDARD.decode(text).ok()),
        Err(SealError::Open) => {
            tracing::error!(
                table = place.first().copied(),
                "a memory in the journal is damaged; it is forgotten"
            );
            Ok(None)
        }
        Err(other) => Err(other.into()),
    }
}

/// Keeps how far the work on a message is.
pub(crate) fn note_work(
    connection: &Connection,
    sealer: &Sealer,
    number: Number,
    work: &[u8],
) -> Result<(), Trouble> {
    let event: Option<String> = connection
        .prepare_cached("SELECT event FROM inbox WHERE number = ?1 AND state = 'waiting'")?
        .query_row([number.0], |row| row.get(0))
        .optional()?;
    let event = event.ok_or(Trouble::NotWaiting(number.0))?;
    let sealed = sealer.seal(&STANDARD.encode(work), &Place::new(&["work", &event]))?;
    connection
        .prepare_cached(
            "INSERT INTO work (event, sealed) VALUES (?1, ?2)
             ON CONFLICT (event) DO UPDATE SET sealed = excluded.sealed",
        )?
        .execute(params![event, sealed])?;
    Ok(())
}

/// How far the work on a message is.
pub(crate) fn work(
    connection: &Connection,
    sealer: &Sealer,
    event: &str,
) -> Result<Option<Vec<u8>>, Trouble> {
    let sealed: Option<Vec<u8>> = connection
        .prepare_cached("SELECT sealed FROM work WHERE event = ?1")?
        .query_row([event], |row| row.get(0))
        .optional()?;
    let Some(sealed) = sealed else { return Ok(None) };
    // Work that was begun and cannot be read is not work that was never begun.
    Ok(Some(opened(sealer, &sealed, &["work", event])?.unwrap_or_default()))
}

/// Keeps a draft; one that is about to be sent is noted as the agent's own.
pub(crate) fn note_draft(
    connection: &Connection,
    number: Number,
    draft: &Draft,
    now: Stamp,
) -> Result<(), Trouble> {
    connection
        .prepare_cached(
            "INSERT INTO draft (number, transaction_id, event) VALUES (?1, ?2, ?3)
             ON CONFLICT (number) DO UPDATE
             SET transaction_id = excluded.transaction_id, event = excluded.event",
        )?
        .execute(params![number.0, draft.transaction, draft.event.as_ref().map(EventId::as_str)])?;
    if draft.event.is_none() {
        sent::note(connection, &draft.transaction, now)?;
    }
    Ok(())
}

/// The draft of an answer.
pub(crate) fn draft(connection: &Connection, number: Number) -> rusqlite::Result<Option<Draft>> {
    connection
        .prepare_cached("SELECT transaction_id, event FROM draft WHERE number = ?1")?
        .query_row([number.0], |row| {
            let event: Option<String> = row.get(1)?;
            Ok(Draft { transaction: row.get(0)?, event: event.map(EventId::new) })
        })
        .optional()
}

/// Forgets how far the work on a message was.
pub(crate) fn forget(connection: &Connection, number: Number) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM work WHERE event = (SELECT event FROM inbox WHERE number = ?1)",
        )?
        .execute([number.0])?;
    connection.prepare_cached("DELETE FROM draft WHERE number = ?1")?.execute([number.0]).map(drop)
}
