//! What clients read of timelines.

use std::{collections::BTreeMap, io};

use rusqlite::Connection;

use super::{
    Stop,
    members::membership,
    rooms::{Facts, facts, joined_ids},
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

/// Counts of rows. Large rooms are counted with each page: nothing but an index may be
/// looked at.
const ALL: &str = "SELECT count(*) FROM messages WHERE room_id = ?1 AND deleted_at IS NULL";
const NEWER: &str = "SELECT count(*) FROM messages WHERE room_id = ?1 AND created_at > ?2 \
     AND deleted_at IS NULL";

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
    let total = connection.prepare_cached(ALL)?.query_row([room], |row| row.get(0))?;
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
    let facts = facts(connection, room)?;
    let reads = facts.as_ref().map(Facts::reads);
    let own = membership(connection, room, reader)?;
    may_sync(reads, own.as_ref(), ability)?;
    let newest = facts.map(|facts| facts.newest);
    let rest = "t.room_id = ?1 AND t.created_at > ?2 AND t.deleted_at IS NULL \
                ORDER BY t.created_at LIMIT 500";
    let mut messages =
        Viewer::new(connection, Some(reader)).messages(rest, [room.into(), since.0.into()])?;
    messages.truncate(fitting(&messages)?);
    let total_count =
        connection.prepare_cached(NEWER)?.query_row((room, since), |row| row.get(0))?;
    Ok(SyncPage { current_timestamp: last(&messages, (settled, newest)), messages, total_count })
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

/// From when on the next sync is to be. `newest` is the last row that this one can
/// see: it may be on the disk before the thread that writes has said so, and whoever
/// has seen it would get it again.
fn last(messages: &[Message], (settled, newest): (Moment, Option<Moment>)) -> Moment {
    let at_end = newest.map_or(settled, |newest| newest.max(settled));
    messages.last().map_or(at_end, |message| message.created_at)
}

/// What is new in all rooms of an account. Refused as a whole if the client
/// cannot read one of them.
pub(crate) fn sync_all(
    connection: &Connection,
    (reader, ability): (AccountId, Ability),
    (since, settled): (Moment, Moment),
) -> Result<SyncPage, Stop> {
    let mut newest = None;
    for (room, mode) in joined_ids(connection, reader)? {
        ability.suits(mode)?;
        newest = newest.max(facts(connection, room)?.map(|facts| facts.newest));
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
    Ok(SyncPage { current_timestamp: last(&messages, (settled, newest)), messages, total_count })
}

const UNREAD: &str = "SELECT count(*) FROM messages t JOIN members m ON m.room_id = t.room_id \
     WHERE m.account_id = ?1 AND m.joined_at IS NOT NULL AND m.leave_at IS NULL \
     AND m.deleted_at IS NULL AND t.deleted_at IS NULL \
     AND t.created_at > coalesce(m.last_read_at, 0)";

/// How many rows of all rooms were not read. For a client that cannot encrypt
/// nothing counts that is in an encrypted room.
pub(crate) fn unread(
    connection: &Connection,
    reader: AccountId,
    ability: Ability,
) -> rusqlite::Result<i64> {
    let sql = format!(
        "{UNREAD} AND EXISTS (SELECT 1 FROM rooms r WHERE r.id = t.room_id \
         AND r.deleted_at IS NULL AND (r.mode = 0 OR ?2))"
    );
    let sees_all = ability == Ability::Encrypts;
    connection.prepare_cached(&sql)?.query_row((reader, sees_all), |row| row.get(0))
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

#[cfg(test)]
mod tests {
    use rusqlite::params_from_iter;
    use serde_json::json;

    use super::*;
    use crate::{
        api::value_of,
        live::Hub,
        store::{Folder, Work, accounts, rooms, sending},
    };

    #[test]
    fn rows_are_counted_in_an_index_alone() {
        let folder = tempfile::tempdir().unwrap();
        let connection = Folder::prepare(folder.path()).unwrap().connections().open().unwrap();
        let of_all = format!("{UNREAD} AND t.room_id = ?2");
        for sql in [ALL, NEWER, &of_all] {
            let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let values = vec![0; plan.parameter_count()];
            let steps = plan.query_map(params_from_iter(values), |row| row.get(3)).unwrap();
            let steps: Vec<String> = steps.map(Result::unwrap).collect();
            let is_so = steps.iter().any(|step| step.contains("INDEX messages_shown"));
            assert!(is_so, "{sql}: {steps:?}");
        }
    }

    #[test]
    fn a_sync_does_not_go_back_behind_a_row_that_is_on_the_disk_already() {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = Folder::prepare(folder.path()).unwrap().connections().open().unwrap();
        let (alice, _) = accounts::add_device(&mut connection, "alice", None, &[0; 32]).unwrap();
        let (now, hub) = (Moment(1000), Hub::default());
        let mut work = Work {
            connection: &connection,
            now,
            hub: &hub,
            is_pushing: false,
            effects: Vec::new(),
            newest: None,
        };
        let ability = Ability::None;
        let group = value_of(json!({ "name": "a" })).unwrap();
        let room = rooms::make(&mut work, alice, &group).unwrap().id;
        let body = value_of(json!({ "content": "a" })).unwrap();
        sending::send(&mut work, room, alice, ability, body).unwrap();
        // The thread that writes has not said yet that it is there.
        let settled = Moment(999);
        for since in [Moment(0), Moment(1000)] {
            let who = (alice, ability);
            let one = sync(&connection, room, who, (since, settled)).unwrap();
            let all = sync_all(&connection, who, (since, settled)).unwrap();
            for page in [one, all] {
                assert_eq!(page.messages.len(), usize::from(since < now));
                assert_eq!(page.current_timestamp, now);
            }
        }
    }
}
