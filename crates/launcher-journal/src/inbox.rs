//! The table `inbox`: messages, from their arrival until they are forgotten.

use launcher_core::{
    conversation::Message,
    names::{EventId, RoomId, UserId},
};
use launcher_runtime::ports::journal::{Number, Outcome, Place as Waiting, Queued, Stamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    content::MessageContent,
    memory, outbox, question,
    seal::{Place, SealError, Sealer},
    stamps,
    trouble::Trouble,
};

/// Whether the event is there, waiting or not.
pub(crate) fn contains(connection: &Connection, event: &EventId) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM inbox WHERE event = ?1")?.exists([event.as_str()])
}

/// Puts a message at the end; says where that is.
pub(crate) fn push(
    connection: &Connection,
    sealer: &Sealer,
    message: &Message,
    now: Stamp,
) -> Result<Number, Trouble> {
    let (event, room, sender) =
        (message.event.as_str(), message.room.as_str(), message.sender.as_str());
    let sealed = sealed(sealer, message)?;
    connection
        .prepare_cached(
            "INSERT INTO inbox (event, room, sender, state, arrived, sealed)
             VALUES (?1, ?2, ?3, 'waiting', ?4, ?5)",
        )?
        .execute(params![event, room, sender, stamps::to_column(now), sealed])?;
    Ok(Number(connection.last_insert_rowid()))
}

/// See [`launcher_runtime::ports::journal::Journal::waiting`].
pub(crate) fn waiting(
    connection: &Connection,
    after: Number,
    limit: usize,
) -> rusqlite::Result<Vec<Waiting>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "SELECT number, room FROM inbox
             WHERE state = 'waiting' AND number > ?1 ORDER BY number LIMIT ?2",
        )?
        .query_map([after.0, limit], |row| {
            let room: String = row.get(1)?;
            Ok(Waiting { number: Number(row.get(0)?), room: RoomId::new(room) })
        })?
        .collect()
}

/// See [`launcher_runtime::ports::journal::Journal::queued`].
///
/// A message that does not open is given up, so that it holds up no other.
pub(crate) fn queued(
    connection: &Connection,
    sealer: &Sealer,
    number: Number,
) -> Result<Option<Queued>, Trouble> {
    let row = connection
        .prepare_cached(
            "SELECT number, event, room, sender, tries, answered, arrived, sealed FROM inbox
             WHERE state = 'waiting' AND number = ?1",
        )?
        .query_row([number.0], WaitingRow::read)
        .optional()?;
    let Some(row) = row else { return Ok(None) };
    let event = row.event.clone();
    match row.open(connection, sealer) {
        Ok(message) => Ok(Some(message)),
        Err(Trouble::Seal(SealError::Open)) => {
            tracing::error!(%event, "a message in the journal is damaged; it is given up");
            settle(connection, number, Outcome::GivenUp)?;
            Ok(None)
        }
        Err(other) => Err(other),
    }
}

/// Counts another try.
pub(crate) fn attempt(connection: &Connection, number: Number) -> Result<u32, Trouble> {
    connection
        .prepare_cached(
            "UPDATE inbox SET tries = tries + 1 WHERE number = ?1 AND state = 'waiting'
             RETURNING tries",
        )?
        .query_row([number.0], |row| row.get(0))
        .optional()?
        .ok_or(Trouble::NotWaiting(number.0))
}

/// Takes one try back, but for the first.
pub(crate) fn give_back(connection: &Connection, number: Number) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE inbox SET tries = max(tries - 1, 1) WHERE number = ?1")?
        .execute([number.0])
        .map(drop)
}

/// Notes that the behavior has answered; false if it had before.
pub(crate) fn mark_answered(connection: &Connection, number: Number) -> Result<bool, Trouble> {
    let answered: bool = connection
        .prepare_cached("SELECT answered FROM inbox WHERE number = ?1 AND state = 'waiting'")?
        .query_row([number.0], |row| row.get(0))
        .optional()?
        .ok_or(Trouble::NotWaiting(number.0))?;
    if !answered {
        connection
            .prepare_cached("UPDATE inbox SET answered = 1 WHERE number = ?1")?
            .execute([number.0])?;
    }
    Ok(!answered)
}

/// Forgets what a message and its answers say.
pub(crate) fn settle(
    connection: &Connection,
    number: Number,
    outcome: Outcome,
) -> rusqlite::Result<()> {
    let state = match outcome {
        Outcome::Done => "done",
        Outcome::Skipped => "skipped",
        Outcome::GivenUp => "given_up",
    };
    connection
        .prepare_cached(
            "UPDATE inbox SET state = ?2, sealed = NULL WHERE number = ?1 AND state = 'waiting'",
        )?
        .execute(params![number.0, state])?;
    outbox::forget(connection, number)?;
    question::forget(connection, number)?;
    memory::forget(connection, number)
}

/// The next message that waits in the room of this one and was never tried.
pub(crate) fn follower(
    connection: &Connection,
    sealer: &Sealer,
    number: Number,
) -> Result<Option<Queued>, Trouble> {
    let next: Option<i64> = connection
        .prepare_cached(
            "SELECT number FROM inbox
             WHERE state = 'waiting' AND number > ?1 AND tries = 0 AND answered = 0
                 AND room = (SELECT room FROM inbox WHERE number = ?1)
             ORDER BY number LIMIT 1",
        )?
        .query_row([number.0], |row| row.get(0))
        .optional()?;
    next.map_or(Ok(None), |next| queued(connection, sealer, Number(next)))
}

/// Puts what one message says before what another one says, and settles it.
pub(crate) fn merge(
    connection: &Connection,
    sealer: &Sealer,
    number: Number,
    into: Number,
) -> Result<(), Trouble> {
    let first = queued(connection, sealer, number)?;
    let second = queued(connection, sealer, into)?;
    let (Some(first), Some(second)) = (first, second) else { return Ok(()) };
    let mut message = second.message;
    message.prepend(first.message);
    let sealed = sealed(sealer, &message)?;
    connection
        .prepare_cached("UPDATE inbox SET sealed = ?2 WHERE number = ?1 AND state = 'waiting'")?
        .execute(params![into.0, sealed])?;
    Ok(settle(connection, number, Outcome::Done)?)
}

fn sealed(sealer: &Sealer, message: &Message) -> Result<Vec<u8>, Trouble> {
    let (event, room, sender) =
        (message.event.as_str(), message.room.as_str(), message.sender.as_str());
    let place = ["inbox", event, room, sender];
    Ok(sealer.seal(&MessageContent::of(message), &Place::new(&place))?)
}

/// Removes messages that were settled and came before `cutoff`; at most `limit`.
pub(crate) fn prune(connection: &Connection, cutoff: Stamp, limit: u32) -> rusqlite::Result<()> {
    connection
        .execute(
            "DELETE FROM inbox WHERE number IN (
                 SELECT number FROM inbox WHERE state <> 'waiting' AND arrived < ?1
                 ORDER BY arrived LIMIT ?2
             )",
            params![stamps::to_column(cutoff), limit],
        )
        .map(drop)
}

struct WaitingRow {
    number: i64,
    event: String,
    room: String,
    sender: String,
    tries: u32,
    answered: bool,
    arrived: i64,
    sealed: Vec<u8>,
}

impl WaitingRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            number: row.get(0)?,
            event: row.get(1)?,
            room: row.get(2)?,
            sender: row.get(3)?,
            tries: row.get(4)?,
            answered: row.get(5)?,
            arrived: row.get(6)?,
            sealed: row.get(7)?,
        })
    }

    fn open(self, connection: &Connection, sealer: &Sealer) -> Result<Queued, Trouble> {
        let parts = ["inbox", &self.event, &self.room, &self.sender];
        let content: MessageContent<'_> = sealer.open(&self.sealed, &Place::new(&parts))?;
        let number = Number(self.number);
        let answers = self.answered.then(|| outbox::unsent(connection, sealer, number));
        let work = memory::work(connection, sealer, &self.event)?;
        Ok(Queued {
            number,
            message: content.message(
                RoomId::new(self.room),
                EventId::new(self.event),
                UserId::new(self.sender),
            ),
            arrived: stamps::from_column(self.arrived),
            tries: self.tries,
            work,
            draft: memory::draft(connection, number)?,
            answers: answers.transpose()?,
        })
    }
}
