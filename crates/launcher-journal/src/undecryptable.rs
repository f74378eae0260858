//! The table `undecryptable`: events that wait for their key.

use launcher_core::{
    names::{EventId, RoomId, UserId},
    undecryptable::Cause,
};
use launcher_runtime::ports::journal::{Locked, Stamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    seal::{Place, Sealer},
    stamps,
    trouble::Trouble,
};

/// As many events wait at most; the oldest give way.
pub(crate) const LIMIT: u32 = 10_000;

/// Keeps an event, unless it waits already.
pub(crate) fn keep(
    connection: &Connection,
    sealer: &Sealer,
    locked: &Locked,
    json: &str,
) -> Result<(), Trouble> {
    let (event, room) = (locked.event.as_str(), locked.room.as_str());
    let sealed = sealer.seal(&json, &Place::new(&["undecryptable", event, room]))?;
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO undecryptable (
                 event, room, sender, session, cause, cause_detail,
                 sent, first_seen, tries, next_try, noticed, sealed
             ) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            event,
            room,
            locked.sender.as_str(),
            locked.session,
            locked.cause.code(),
            locked.cause.detail(),
            stamps::to_column(locked.sent),
            stamps::to_column(locked.first_seen),
            locked.tries,
            stamps::to_column(locked.next_try),
            locked.noticed,
            sealed,
        ])?;
    Ok(())
}

/// Removes the oldest events that are more than [`LIMIT`].
pub(crate) fn bound(connection: &Connection) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM undecryptable WHERE event IN (
                 SELECT event FROM undecryptable ORDER BY sent, first_seen, event
                 LIMIT max(0, (SELECT count(*) FROM undecryptable) - ?1)
             )",
        )?
        .execute([LIMIT])
        .map(drop)
}

/// Removes an event, if it is there.
pub(crate) fn remove(connection: &Connection, event: &EventId) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM undecryptable WHERE event = ?1")?
        .execute([event.as_str()])
        .map(drop)
}

/// All events, oldest first.
pub(crate) fn all(connection: &Connection) -> rusqlite::Result<Vec<Locked>> {
    connection
        .prepare_cached(
            "SELECT event, room, sender, session, cause, cause_detail,
                 sent, first_seen, tries, next_try, noticed
             FROM undecryptable ORDER BY sent, first_seen, event",
        )?
        .query_map([], read)?
        .collect()
}

/// The event as it arrived. One that does not open any more is removed.
pub(crate) fn event(
    connection: &Connection,
    sealer: &Sealer,
    event: &EventId,
) -> Result<Option<String>, Trouble> {
    let found: Option<(String, Vec<u8>)> = connection
        .prepare_cached("SELECT room, sealed FROM undecryptable WHERE event = ?1")?
        .query_row([event.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((room, sealed)) = found else { return Ok(None) };
    match sealer.open(&sealed, &Place::new(&["undecryptable", event.as_str(), &room])) {
        Ok(json) => Ok(Some(json)),
        Err(_) => {
            tracing::error!(%event, "an event in the journal is damaged; it is given up");
            remove(connection, event)?;
            Ok(None)
        }
    }
}

/// See [`launcher_runtime::ports::journal::Journal::postpone`].
pub(crate) fn postpone(connection: &Connection, locked: &Locked) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE undecryptable SET cause = ?2, cause_detail = ?3, tries = ?4, next_try = ?5
             WHERE event = ?1",
        )?
        .execute(params![
            locked.event.as_str(),
            locked.cause.code(),
            locked.cause.detail(),
            locked.tries,
            stamps::to_column(locked.next_try),
        ])
        .map(drop)
}

/// Marks every event of a session.
pub(crate) fn mark_noticed(
    connection: &Connection,
    room: &RoomId,
    session: &str,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE undecryptable SET noticed = 1 WHERE room = ?1 AND session = ?2")?
        .execute([room.as_str(), session])
        .map(drop)
}

/// Removes events from before `cutoff`. When an event was sent is its server's
/// word; one that claims to be from the future was sent when it was seen.
pub(crate) fn prune(connection: &Connection, cutoff: Stamp) -> rusqlite::Result<()> {
    connection
        .execute(
            "DELETE FROM undecryptable WHERE min(sent, first_seen) < ?1",
            [stamps::to_column(cutoff)],
        )
        .map(drop)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Locked> {
    let (cause, detail): (String, String) = (row.get(4)?, row.get(5)?);
    Ok(Locked {
        event: EventId::new(row.get::<_, String>(0)?),
        room: RoomId::new(row.get::<_, String>(1)?),
        sender: UserId::new(row.get::<_, String>(2)?),
        session: row.get(3)?,
        cause: Cause::from_parts(&cause, &detail),
        sent: stamps::from_column(row.get(6)?),
        first_seen: stamps::from_column(row.get(7)?),
        tries: row.get(8)?,
        next_try: stamps::from_column(row.get(9)?),
        noticed: row.get(10)?,
    })
}
