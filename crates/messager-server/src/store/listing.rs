//! What clients read of timelines.

use std::{collections::BTreeMap, io};

use rusqlite::Connection;

use super::{
    Stop,
    members::membership,
    rooms::{facts, joined_ids},
    view::Viewer,
};
use crate::{
    refusal::Refusal,
    rules::{Ability, may_read, may_sync, page},
    values::{AccountId, MessageId, Moment, RoomId},
    wire::{Message, Summary, SyncPage},
};

/// The most rows of one sync.
const MOST: usize = 500;

/// The most bytes of a sync as JSON, unless a single row has more: rows can have
/// hundreds of KiB, and whoever reads one has to have an end.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// A value that a query takes: `MOST` rows and one, to see whether there are more.
const AND_ONE: i64 = 501;

fn check(
    connection: &Connection,
    room: RoomId,
    reader: Option<AccountId>,
    ability: Ability,
) -> Result<(), Stop> {
    let facts = facts(connection, room)?;
    let own = reader.map(|reader| membership(connection, room, reader)).transpose()?.flatten();
    let reads = facts.map(|facts| facts.reads());
    Ok(may_read(reader.is_some(), reads, own.as_ref(), ability)?)
}

/// A page of a timeline, the newest first, and how many rows there are.
pub(crate) fn list(
    connection: &Connection,
    room: RoomId,
    (reader, ability): (Option<AccountId>, Ability),
    (take, offset): (i64, i64),
) -> Result<(Vec<Message>, i64), Stop> {
    check(connection, room, reader, ability)?;
    let rest = "t.room_id = ?1 AND t.deleted_at IS NULL ORDER BY t.created_at DESC \
                LIMIT ?2 OFFSET ?3";
    let values = [room.into(), take.into(), offset.into()];
    let messages = Viewer::new(connection, reader).messages(rest, values)?;
    let sql = "SELECT count(*) FROM messages WHERE room_id = ?1 AND deleted_at IS NULL";
    let total = connection.prepare_cached(sql)?.query_row([room], |row| row.get(0))?;
    Ok((messages, total))
}

/// One row.
pub(crate) fn one(
    connection: &Connection,
    (room, message): (RoomId, MessageId),
    reader: Option<AccountId>,
    ability: Ability,
) -> Result<Message, Stop> {
    check(connection, room, reader, ability)?;
    let rest = "t.room_id = ?1 AND t.id = ?2 AND t.deleted_at IS NULL";
    let found =
        Viewer::new(connection, reader).messages(rest, [room.into(), message.into()])?.pop();
    Ok(found.ok_or(Refusal::NotFound("message"))?)
}

/// What is new in a room. `settled` is a moment up to which all rows are there.
pub(crate) fn sync(
    connection: &Connection,
    room: RoomId,
    (reader, ability): (AccountId, Ability),
    (since, settled): (Moment, Moment),
) -> Result<SyncPage, Stop> {
    let reads = facts(connection, room)?.map(|facts| facts.reads());
    let own = membership(connection, room, reader)?;
    may_sync(reads, own.as_ref(), ability)?;
    let rest = "t.room_id = ?1 AND t.created_at > ?2 AND t.deleted_at IS NULL \
                ORDER BY t.created_at LIMIT 500";
    let mut messages =
        Viewer::new(connection, Some(reader)).messages(rest, [room.into(), since.0.into()])?;
    messages.truncate(fitting(&messages)?);
    let sql = "SELECT count(*) FROM messages WHERE room_id = ?1 AND created_at > ?2 \
               AND deleted_at IS NULL";
    let total_count = connection.prepare_cached(sql)?.query_row((room, since), |row| row.get(0))?;
    Ok(SyncPage { current_timestamp: last(&messages, settled), messages, total_count })
}

/// How many rows from the first on have the size that a sync may have; at
/// least one, if there is one.
fn fitting(messages: &[Message]) -> Result<usize, Stop> {
    let mut size = Size(0);
    for (number, message) in messages.iter().enumerate() {
        serde_json::to_writer(&mut size, message)?;
        if size.0 > MOST_BYTES {
            return Ok(number.max(1));
        }
    }
    Ok(messages.len())
}

/// Counts what is written to it.
struct Size(usize);

impl io::Write for Size {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn last(messages: &[Message], settled: Moment) -> Moment {
    messages.last().map_or(settled, |message| message.created_at)
}

/// What is new in all rooms of an account. Refused as a whole if the client
/// cannot read one of them.
pub(crate) fn sync_all(
    connection: &Connection,
    (reader, ability): (AccountId, Ability),
    (since, settled): (Moment, Moment),
) -> Result<SyncPage, Stop> {
    for (_, mode) in joined_ids(connection, reader)? {
        ability.suits(mode)?;
    }
    let rest = "t.created_at > ?2 AND t.deleted_at IS NULL AND t.room_id IN (SELECT m.room_id \
                FROM members m JOIN rooms r ON r.id = m.room_id WHERE m.account_id = ?1 \
                AND m.joined_at IS NOT NULL AND m.leave_at IS NULL AND m.deleted_at IS NULL \
                AND r.deleted_at IS NULL) ORDER BY t.created_at, t.place LIMIT ?3";
    let read = |most: i64| {
        let values = [reader.into(), since.0.into(), most.into()];
        Viewer::new(connection, Some(reader)).messages(rest, values)
    };
    let mut messages = read(AND_ONE)?;
    let moments: Vec<Moment> = messages.iter().map(|message| message.created_at).collect();
    let whole = page(&moments, fitting(&messages)?.min(MOST));
    if whole > MOST {
        // One millisecond of that many rooms: all of it.
        messages = read(-1)?;
        let first = messages.first().map(|message| message.created_at);
        messages.retain(|message| Some(message.created_at) == first);
    } else {
        messages.truncate(whole);
    }
    let total_count = i64::try_from(messages.len()).unwrap_or(i64::MAX);
    Ok(SyncPage { current_timestamp: last(&messages, settled), messages, total_count })
}

const UNREAD: &str = "SELECT count(*) FROM messages t JOIN members m ON m.room_id = t.room_id \
     WHERE m.account_id = ?1 AND m.joined_at IS NOT NULL AND m.leave_at IS NULL \
     AND m.deleted_at IS NULL AND t.deleted_at IS NULL \
     AND t.created_at > coalesce(m.last_read_at, 0)";

/// How many rows of all rooms were not read.
pub(crate) fn unread(connection: &Connection, reader: AccountId) -> rusqlite::Result<i64> {
    let sql = format!(
        "{UNREAD} AND EXISTS (SELECT 1 FROM rooms r WHERE r.id = t.room_id \
         AND r.deleted_at IS NULL)"
    );
    connection.prepare_cached(&sql)?.query_row([reader], |row| row.get(0))
}

/// How many rows of each room were not read, and the last one. Of an encrypted
/// room a client that cannot encrypt learns nothing.
pub(crate) fn summary(
    connection: &Connection,
    reader: AccountId,
    ability: Ability,
) -> Result<BTreeMap<String, Summary>, Stop> {
    let mut viewer = Viewer::new(connection, Some(reader));
    let sql = format!("{UNREAD} AND t.room_id = ?2");
    let mut count = connection.prepare_cached(&sql)?;
    let newest = "t.room_id = ?1 AND t.deleted_at IS NULL ORDER BY t.created_at DESC LIMIT 1";
    let rooms = joined_ids(connection, reader)?.into_iter().map(|(room, mode)| {
        let summary = match ability.suits(mode) {
            Err(_) => Summary { unread_count: 0, last_message: None },
            Ok(()) => Summary {
                unread_count: count.query_row((reader, room), |row| row.get(0))?,
                last_message: viewer.messages(newest, [room.into()])?.pop(),
            },
        };
        Ok((room.to_string(), summary))
    });
    rooms.collect()
}
