//! How long what is settled is remembered.

use std::time::Duration;

use launcher_runtime::ports::journal::Stamp;
use rusqlite::Connection;

use crate::{inbox, outgoing, sent, stamps, thread, undecryptable};

const DAY: Duration = Duration::from_secs(86_400);

/// A silence that a clock can be believed about.
const LONGEST_SILENCE: Duration = Duration::from_secs(30 * 86_400);

/// So many messages are removed at once, so that nothing waits long for it.
const AT_ONCE: u32 = 20_000;

/// Removes what need not be remembered any longer.
///
/// A message older than `max_age` is not answered, so its id is of no use then;
/// a day more makes up for clocks that differ.
pub(crate) fn prune(
    connection: &Connection,
    now: Stamp,
    max_age: Duration,
) -> rusqlite::Result<()> {
    if is_implausible(connection, now)? {
        return Ok(());
    }
    let settled = now.minus(max_age.max(DAY).saturating_add(DAY));
    inbox::prune(connection, settled, AT_ONCE)?;
    thread::prune(connection)?;
    sent::prune(connection, now)?;
    outgoing::prune(connection, now)?;
    undecryptable::prune(connection, now.minus(max_age.saturating_add(DAY)))
}

/// Whether nothing has arrived or was sent for so long that the clock may have jumped. One
/// start with a wrong clock must not cost everything that waits; after a long
/// absence what is old goes with the next message instead.
fn is_implausible(connection: &Connection, now: Stamp) -> rusqlite::Result<bool> {
    let newest: i64 = connection.query_row(
        "SELECT max(
             ifnull((SELECT arrived FROM inbox ORDER BY number DESC LIMIT 1), 0),
             ifnull((SELECT max(first_seen) FROM undecryptable), 0),
             ifnull((SELECT max(at) FROM outgoing), 0)
         )",
        [],
        |row| row.get(0),
    )?;
    Ok(now > stamps::from_column(newest).plus(LONGEST_SILENCE))
}

/// Gives the space of removed rows back to the file system. The rows are gone
/// either way, so it is no fault if that does not work.
pub(crate) fn shrink(connection: &Connection) {
    if let Err(error) = vacuum(connection) {
        tracing::warn!(%error, "the journal could not be made smaller");
    }
}

/// Each page that is given back is a step of the statement.
fn vacuum(connection: &Connection) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("PRAGMA incremental_vacuum")?;
    let mut pages = statement.query([])?;
    while pages.next()?.is_some() {}
    Ok(())
}
