//! The table `outbox`: answers, from before their first attempt until the
//! message that they answer is settled.

use launcher_runtime::ports::{
    Answer,
    journal::{Number, Stamp},
};
use rusqlite::{Connection, params};

use crate::{
    content::AnswerContent,
    inbox,
    seal::{Place, SealError, Sealer},
    sent, thread,
    trouble::Trouble,
};

/// Keeps the answers to a message. If some are kept already they stay as they
/// are: the server may have the first of them. `false` then.
pub(crate) fn keep(
    connection: &Connection,
    sealer: &Sealer,
    number: Number,
    answers: &[Answer],
    now: Stamp,
) -> Result<bool, Trouble> {
    if !inbox::mark_answered(connection, number)? {
        return Ok(false);
    }
    let mut insert = connection.prepare_cached(
        "INSERT INTO outbox (number, part, transaction_id, state, sealed)
         VALUES (?1, ?2, ?3, 'waiting', ?4)",
    )?;
    for (part, answer) in (0_i64..).zip(answers) {
        let sealed = sealer
            .seal(&AnswerContent::of(answer), &Place::new(&["outbox", &answer.transaction]))?;
        insert.execute(params![number.0, part, answer.transaction, sealed])?;
        sent::note(connection, &answer.transaction, now)?;
        if let Some(root) = &answer.thread {
            thread::note(connection, &answer.room, root, now)?;
        }
    }
    Ok(true)
}

/// The answers to a message that the server does not have yet.
pub(crate) fn unsent(
    connection: &Connection,
    sealer: &Sealer,
    number: Number,
) -> Result<Vec<Answer>, Trouble> {
    let mut statement = connection.prepare_cached(
        "SELECT transaction_id, sealed FROM outbox
         WHERE number = ?1 AND state = 'waiting' ORDER BY part",
    )?;
    let mut rows = statement.query([number.0])?;
    let mut answers = Vec::new();
    while let Some(row) = rows.next()? {
        let (transaction, sealed): (String, Vec<u8>) = (row.get(0)?, row.get(1)?);
        let content: AnswerContent<'_> =
            sealer.open(&sealed, &Place::new(&["outbox", &transaction]))?;
        answers.push(content.answer(transaction).ok_or(SealError::Open)?);
    }
    Ok(answers)
}

/// Forgets what an answer says; that it was given stays until the message is settled.
pub(crate) fn done(
    connection: &Connection,
    number: Number,
    transaction: &str,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE outbox SET state = 'done', sealed = NULL
             WHERE number = ?1 AND transaction_id = ?2",
        )?
        .execute(params![number.0, transaction])
        .map(drop)
}

/// Removes the answers to a message.
pub(crate) fn forget(connection: &Connection, number: Number) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM outbox WHERE number = ?1")?.execute([number.0]).map(drop)
}
