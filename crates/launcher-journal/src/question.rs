//! The table `question`: what was asked in rooms before something is done.

use std::borrow::Cow;

use launcher_core::{
    approval::{Asked, Verdict},
    names::{EventId, UserId},
    spec::Requirement,
};
use launcher_runtime::ports::journal::{Number, OpenQuestion};
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};

use crate::{
    seal::{Place, SealError, Sealer},
    stamps,
    trouble::Trouble,
};

/// Everything of an [`OpenQuestion`] that has no column of its own.
#[derive(Serialize, Deserialize)]
struct Content<'a> {
    about: Cow<'a, str>,
    users: Cow<'a, [String]>,
    verified: bool,
}

/// Keeps a question. What was answered stays.
pub(crate) fn keep(
    connection: &Connection,
    sealer: &Sealer,
    question: &OpenQuestion,
) -> Result<(), Trouble> {
    let key = format!("{}-{}", question.number.0, question.place);
    let content = Content {
        about: question.about.as_str().into(),
        users: question.asked.users.as_slice().into(),
        verified: question.asked.require == Requirement::Verified,
    };
    let sealed = sealer.seal(&content, &Place::new(&["question", &key]))?;
    connection
        .prepare_cached(
            "INSERT INTO question (key, number, place, event, until, sealed)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (key) DO UPDATE SET event = excluded.event, until = excluded.until,
                 sealed = excluded.sealed",
        )?
        .execute(params![
            key,
            question.number.0,
            question.place,
            question.asked.event.as_str(),
            stamps::to_column(question.until),
            sealed
        ])?;
    Ok(())
}

/// Notes how a question was answered; the first answer counts.
pub(crate) fn decide(connection: &Connection, verdict: &Verdict) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE question SET yes = ?2, answered_by = ?3 WHERE event = ?1 AND yes IS NULL",
        )?
        .execute(params![verdict.question.as_str(), verdict.yes, verdict.by.as_str()])
        .map(drop)
}

/// Every question, in the order in which they were asked. One that does not
/// open is asked again.
pub(crate) fn all(connection: &Connection, sealer: &Sealer) -> Result<Vec<OpenQuestion>, Trouble> {
    let mut statement = connection.prepare_cached(
        "SELECT key, number, place, event, until, yes, answered_by, sealed FROM question
         ORDER BY number, place",
    )?;
    let mut rows = statement.query([])?;
    let mut questions = Vec::new();
    while let Some(row) = rows.next()? {
        match open(row, sealer) {
            Ok(question) => questions.push(question),
            Err(Trouble::Seal(SealError::Open)) => {
                tracing::error!("a question in the journal is damaged; it is asked again");
            }
            Err(other) => return Err(other),
        }
    }
    Ok(questions)
}

fn open(row: &Row<'_>, sealer: &Sealer) -> Result<OpenQuestion, Trouble> {
    let (key, sealed): (String, Vec<u8>) = (row.get(0)?, row.get(7)?);
    let content: Content<'_> = sealer.open(&sealed, &Place::new(&["question", &key]))?;
    let event = EventId::new(row.get::<_, String>(3)?);
    let (yes, by): (Option<bool>, Option<String>) = (row.get(5)?, row.get(6)?);
    let verdict =
        yes.zip(by).map(|(yes, by)| Verdict { question: event.clone(), yes, by: UserId::new(by) });
    Ok(OpenQuestion {
        number: Number(row.get(1)?),
        place: row.get(2)?,
        about: content.about.into_owned(),
        asked: Asked {
            event,
            users: content.users.into_owned(),
            require: match content.verified {
                true => Requirement::Verified,
                false => Requirement::Trusted,
            },
        },
        until: stamps::from_column(row.get(4)?),
        verdict,
    })
}

/// Forgets the questions about a message.
pub(crate) fn forget(connection: &Connection, number: Number) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM question WHERE number = ?1")?
        .execute([number.0])
        .map(drop)
}
