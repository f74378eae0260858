//! The tables `sent` and `passed`: what this journal's agent did, to recognize
//! what another copy of it did.

use std::time::Duration;

use launcher_runtime::ports::journal::Stamp;
use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

use crate::stamps;

/// How long a transaction is remembered.
const MEMORY: Duration = Duration::from_secs(8 * 86_400);

/// How old an event may be that is judged; less, because clocks differ.
const JUDGED: Duration = Duration::from_secs(7 * 86_400);

/// Positions that are remembered.
const POSITIONS: u32 = 500;

/// Notes that a message with this transaction is about to be sent.
pub(crate) fn note(connection: &Connection, transaction: &str, now: Stamp) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO sent (id, at) VALUES (?1, ?2)
             ON CONFLICT (id) DO UPDATE SET at = excluded.at",
        )?
        .execute(params![id(transaction), stamps::to_column(now)])
        .map(drop)
}

/// Whether none but this journal's agent can have sent an event with this
/// transaction at this moment.
pub(crate) fn is_own(
    connection: &Connection,
    transaction: &str,
    at: Stamp,
    now: Stamp,
) -> rusqlite::Result<bool> {
    let since: i64 = connection.query_row("SELECT sent_since FROM value", [], |row| row.get(0))?;
    if at <= stamps::from_column(since) || at < now.minus(JUDGED) {
        return Ok(true);
    }
    let found: Option<i64> = connection
        .prepare_cached("SELECT 1 FROM sent WHERE id = ?1")?
        .query_row([id(transaction)], |row| row.get(0))
        .optional()?;
    Ok(found.is_some())
}

/// Nothing was sent before this journal began to remember.
pub(crate) fn begin_fresh(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("UPDATE value SET sent_since = 0", []).map(drop)
}

/// Forgets what is too old to be judged.
pub(crate) fn prune(connection: &Connection, now: Stamp) -> rusqlite::Result<()> {
    let old = stamps::to_column(now.minus(MEMORY));
    connection.execute("DELETE FROM sent WHERE at < ?1", [old]).map(drop)
}

/// Notes that a position lies behind.
pub(crate) fn pass(connection: &Connection, position: &str) -> rusqlite::Result<()> {
    connection.prepare_cached("INSERT INTO passed (id) VALUES (?1)")?.execute([id(position)])?;
    connection
        .prepare_cached("DELETE FROM passed WHERE number <= (SELECT max(number) FROM passed) - ?1")?
        .execute([POSITIONS])
        .map(drop)
}

/// Whether a position is known to lie behind.
pub(crate) fn is_passed(connection: &Connection, position: &str) -> rusqlite::Result<bool> {
    let found: Option<i64> = connection
        .query_row("SELECT 1 FROM passed WHERE id = ?1", [id(position)], |row| row.get(0))
        .optional()?;
    Ok(found.is_some())
}

fn id(text: &str) -> i64 {
    let hash = Sha256::digest(text.as_bytes());
    let mut half = [0; 8];
    half.copy_from_slice(&hash[..8]);
    i64::from_be_bytes(half)
}
