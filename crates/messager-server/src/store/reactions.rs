//! Reactions. They are in the clear in encrypted rooms, too.

use rusqlite::OptionalExtension;
use serde_json::json;

use super::{
    Stop, Work,
    editing::found,
    members::membership,
    rooms::facts,
    timeline::{NewRow, announce, append, packet},
};
use crate::{
    refusal::Refusal,
    rules::{Ability, Place, may_react},
    values::{AccountId, MemberId, MessageId, Mode, ReactionId, RoomId},
    wire::{Reaction, ReactionBody, RowKind},
};

/// Adds a reaction; a second time takes it back and gives nothing.
pub(crate) fn react(
    work: &mut Work<'_>,
    place: (RoomId, MessageId),
    account: AccountId,
    body: &ReactionBody,
) -> Result<Option<Reaction>, Stop> {
    let own = check(work, place, account)?;
    if take_back(work, place, own, &body.symbol)? {
        return Ok(None);
    }
    let (_, message) = place;
    let reaction = Reaction {
        id: ReactionId::new(work.now)?,
        message_id: message,
        sender_id: own,
        symbol: body.symbol.clone(),
        attitude: body.attitude,
        created_at: work.now,
        updated_at: work.now,
        deleted_at: None,
    };
    let sql = "INSERT INTO reactions (id, message_id, sender_id, symbol, attitude, created_at) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    work.connection.prepare_cached(sql)?.execute((
        reaction.id,
        message,
        own,
        &reaction.symbol,
        reaction.attitude,
        work.now,
    ))?;
    tell(work, place, (RowKind::ReactionAdded, own), &reaction)?;
    Ok(Some(reaction))
}

/// Takes a reaction back.
pub(crate) fn remove(
    work: &mut Work<'_>,
    place: (RoomId, MessageId),
    account: AccountId,
    symbol: &str,
) -> Result<(), Stop> {
    let own = check(work, place, account)?;
    match take_back(work, place, own, symbol)? {
        true => Ok(()),
        false => Err(Refusal::NotFound("reaction").into()),
    }
}

fn check(
    work: &Work<'_>,
    (room, message): (RoomId, MessageId),
    account: AccountId,
) -> Result<MemberId, Stop> {
    let facts = facts(work.connection, room)?;
    let own = membership(work.connection, room, account)?.filter(|_| facts.is_some());
    let mode = facts.map_or(Mode::Plain, |facts| facts.mode);
    let ability = Ability::Encrypts;
    may_react(&Place { mode, membership: own.as_ref(), ability, now: work.now })?;
    if found(work.connection, room, message)?.deleted.is_some() {
        return Err(Refusal::NotFound("message").into());
    }
    Ok(own.ok_or(Refusal::NotFound("member"))?.id)
}

fn take_back(
    work: &mut Work<'_>,
    place: (RoomId, MessageId),
    own: MemberId,
    symbol: &str,
) -> Result<bool, Stop> {
    let sql = "DELETE FROM reactions WHERE message_id = ?1 AND sender_id = ?2 AND symbol = ?3 \
               RETURNING id, attitude, created_at";
    let mut statement = work.connection.prepare_cached(sql)?;
    let removed = statement.query_row((place.1, own, symbol), |row| {
        Ok(Reaction {
            id: row.get(0)?,
            message_id: place.1,
            sender_id: own,
            symbol: symbol.to_owned(),
            attitude: row.get(1)?,
            created_at: row.get(2)?,
            updated_at: work.now,
            deleted_at: Some(work.now),
        })
    });
    let Some(removed) = removed.optional()? else { return Ok(false) };
    tell(work, place, (RowKind::ReactionRemoved, own), &removed)?;
    Ok(true)
}

/// A row about the reaction, and the message with the reactions that it has now.
fn tell(
    work: &mut Work<'_>,
    (room, message): (RoomId, MessageId),
    (kind, own): (RowKind, MemberId),
    reaction: &Reaction,
) -> Result<(), Stop> {
    let mut row = NewRow::about(kind, own, message);
    row.meta.insert("symbol".into(), reaction.symbol.clone().into());
    row.meta.insert("reaction".into(), json!(reaction));
    let (id, _) = append(work, room, row)?;
    announce(work, id)?;
    packet(work, "messages.update", message)?;
    Ok(())
}
