//! The table `question`: what was asked in rooms before something is done, and
//! how it was answered. All of it is sealed: who can write to the file and has
//! no key agrees to nothing.

use std::borrow::Cow;

use launcher_core::{
    approval::{Asked, Verdict},
    names::{EventId, UserId},
    spec::Requirement,
};
use launcher_runtime::ports::{
    Answered,
    journal::{Number, OpenQuestion, Stamp},
};
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use crate::{
    seal::{Place, SealError, Sealer},
    trouble::Trouble,
};

/// Everything of an [`OpenQuestion`] that has no column of its own.
#[derive(Serialize, Deserialize)]
struct Content<'a> {
    about: Cow<'a, str>,
    event: Cow<'a, str>,
    users: Cow<'a, [String]>,
    verified: bool,
    until: u64,
    answer: Option<Answer<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer<'a> {
    Yes(Cow<'a, str>),
    No(Cow<'a, str>),
    Expired,
}

/// Keeps a question. How it was answered stays.
pub(crate) fn keep(
    connection: &Connection,
    sealer: &Sealer,
    question: &OpenQuestion,
) -> Result<(), Trouble> {
    let known = find(connection, sealer, question.number, question.place)?;
    let answered = known.and_then(|known| known.answered);
    match answered {
        Some(_) => write(connection, sealer, &OpenQuestion { answered, ..question.clone() }),
        None => write(connection, sealer, question),
    }
}

/// Notes how a question was answered; the first answer counts.
pub(crate) fn decide(
    connection: &Connection,
    sealer: &Sealer,
    verdict: &Verdict,
) -> Result<(), Trouble> {
    for question in all(connection, sealer)? {
        if question.asked.event == verdict.question && question.answered.is_none() {
            let answered = Some(Answered::from(verdict));
            write(connection, sealer, &OpenQuestion { answered, ..question })?;
        }
    }
    Ok(())
}

/// Nobody has answered, unless somebody has: returns which.
pub(crate) fn expire(
    connection: &Connection,
    sealer: &Sealer,
    question: &OpenQuestion,
) -> Result<Answered, Trouble> {
    let known = find(connection, sealer, question.number, question.place)?;
    if let Some(answered) = known.and_then(|known| known.answered) {
        return Ok(answered);
    }
    let answered = Some(Answered::Expired);
    write(connection, sealer, &OpenQuestion { answered, ..question.clone() })?;
    Ok(Answered::Expired)
}

/// Every question, in the order in which they were asked. One that does not
/// open keeps its place, so that no other takes it, and is about nothing.
pub(crate) fn all(connection: &Connection, sealer: &Sealer) -> Result<Vec<OpenQuestion>, Trouble> {
    connection
        .prepare_cached("SELECT number, place, sealed FROM question ORDER BY number, place")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .map(|row| {
            let (number, place, sealed): (i64, u32, Vec<u8>) = row?;
            let question = open(sealer, Number(number), place, &sealed)?;
            Ok(question.unwrap_or_else(|| damaged(Number(number), place)))
        })
        .collect()
}

fn find(
    connection: &Connection,
    sealer: &Sealer,
    number: Number,
    place: u32,
) -> Result<Option<OpenQuestion>, Trouble> {
    let sealed: Option<Vec<u8>> = connection
        .prepare_cached("SELECT sealed FROM question WHERE key = ?1")?
        .query_row([key(number, place)], |row| row.get(0))
        .optional()?;
    sealed.map_or(Ok(None), |sealed| open(sealer, number, place, &sealed))
}

fn write(connection: &Connection, sealer: &Sealer, question: &OpenQuestion) -> Result<(), Trouble> {
    let content = Content {
        about: question.about.as_str().into(),
        event: question.asked.event.as_str().into(),
        users: question.asked.users.as_slice().into(),
        verified: question.asked.require == Requirement::Verified,
        until: question.until.0,
        answer: question.answered.as_ref().map(|answered| match answered {
            Answered::Yes(by) => Answer::Yes(by.as_str().into()),
            Answered::No(by) => Answer::No(by.as_str().into()),
            Answered::Expired => Answer::Expired,
        }),
    };
    let key = key(question.number, question.place);
    let sealed = sealer.seal(&content, &Place::new(&["question", &key]))?;
    connection
        .prepare_cached(
            "INSERT INTO question (key, number, place, sealed) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (key) DO UPDATE SET sealed = excluded.sealed",
        )?
        .execute(params![key, question.number.0, question.place, sealed])?;
    Ok(())
}

/// `None` if it is damaged.
fn open(
    sealer: &Sealer,
    number: Number,
    place: u32,
    sealed: &[u8],
) -> Result<Option<OpenQuestion>, Trouble> {
    let key = key(number, place);
    let content: Content<'_> = match sealer.open(sealed, &Place::new(&["question", &key])) {
        Ok(content) => content,
        Err(SealError::Open) => {
            tracing::error!("a question in the journal is damaged; it is asked again");
            return Ok(None);
        }
        Err(other) => return Err(other.into()),
    };
    Ok(Some(OpenQuestion {
        number,
        place,
        about: content.about.into_owned(),
        asked: Asked {
            event: EventId::new(content.event),
            users: content.users.into_owned(),
            require: match content.verified {
                true => Requirement::Verified,
                false => Requirement::Trusted,
            },
        },
        until: Stamp(content.until),
        answered: content.answer.map(|answer| match answer {
            Answer::Yes(by) => Answered::Yes(UserId::new(by)),
            Answer::No(by) => Answered::No(UserId::new(by)),
            Answer::Expired => Answered::Expired,
        }),
    }))
}

fn damaged(number: Number, place: u32) -> OpenQuestion {
    OpenQuestion {
        number,
        place,
        about: format!("damaged {place}"),
        asked: Asked {
            event: EventId::unknown(),
            users: Vec::new(),
            require: Requirement::Verified,
        },
        until: Stamp(0),
        answered: Some(Answered::Expired),
    }
}

fn key(number: Number, place: u32) -> String {
    format!("{}-{place}", number.0)
}

/// Forgets the questions about a message.
pub(crate) fn forget(connection: &Connection, number: Number) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM question WHERE number = ?1")?
        .execute([number.0])
        .map(drop)
}
