//! New messages.

use rusqlite::{Connection, OptionalExtension};
use serde_json::json;

use super::{
    Effect, Stop, Work,
    members::membership,
    rooms::{Facts, facts},
    timeline::{NewRow, announce, append},
};
use crate::{
    push::Push,
    refusal::Refusal,
    rules::{Ability, Membership, Place, Reader, is_pushed, may_send},
    values::{AccountId, MessageId, Mode, RoomId, is_blank},
    wire::{Message, References, RowKind, SendBody},
};

/// Sends a message. One with the `client_message_id` of an earlier one is that
/// one: it is given back as it is, whatever the body says now.
pub(crate) fn send(
    work: &mut Work<'_>,
    room: RoomId,
    account: AccountId,
    ability: Ability,
    mut body: SendBody,
) -> Result<Message, Stop> {
    let facts = facts(work.connection, room)?;
    let own = membership(work.connection, room, account)?.filter(|_| facts.is_some());
    let mode = facts.as_ref().map_or(Mode::Plain, |facts| facts.mode);
    let place = Place { mode, membership: own.as_ref(), ability, now: work.now };
    may_send(&place, &body)?;
    let (Some(facts), Some(own)) = (facts, own) else {
        return Err(Refusal::NotFound("room").into());
    };
    body.client_message_id = body.client_message_id.filter(|id| !is_blank(Some(id)));
    let earlier = body.client_message_id.as_deref();
    let earlier = earlier.map(|id| sent(work.connection, room, (own.id, id))).transpose()?;
    if let Some(earlier) = earlier.flatten() {
        return super::view::Viewer::new(work.connection, Some(account)).message(earlier);
    }
    check_references(work.connection, room, account, body.references())?;
    let row = new_row(work.connection, room, own.id, mode, body)?;
    let (id, _) = append(work, room, row)?;
    let mut message = announce(work, id)?;
    push_all(work, &facts, account, &message)?;
    super::links::look_later(work, room, id, message.content.as_deref());
    message.reactions_made = Some(Default::default());
    Ok(message)
}

/// The message of a sender with this `client_message_id`.
fn sent(
    connection: &Connection,
    room: RoomId,
    (sender, id): (crate::values::MemberId, &str),
) -> rusqlite::Result<Option<MessageId>> {
    let sql = "SELECT id FROM messages WHERE room_id = ?1 AND sender_id = ?2 \
               AND client_message_id = ?3 AND kind = 'text'";
    connection.prepare_cached(sql)?.query_row((room, sender, id), |row| row.get(0)).optional()
}

/// Refuses what answers or hands on something that the sender cannot see.
pub(super) fn check_references(
    connection: &Connection,
    room: RoomId,
    account: AccountId,
    references: References,
) -> Result<(), Stop> {
    let place_of = |id: MessageId| -> rusqlite::Result<Option<(RoomId, bool)>> {
        let sql = "SELECT room_id, is_encrypted FROM messages WHERE id = ?1 \
                   AND deleted_at IS NULL";
        let mut statement = connection.prepare_cached(sql)?;
        statement.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()
    };
    if let Some(id) = references.replied
        && place_of(id)?.is_none_or(|(place, _)| place != room)
    {
        return Err(Refusal::bad("The message you're replying to does not exist.").into());
    }
    if let Some(id) = references.forwarded {
        let place = place_of(id)?;
        let own = place.map(|(place, _)| membership(connection, place, account)).transpose()?;
        let Some((place, is_encrypted)) = place.filter(|_| is_in(own.flatten().as_ref())) else {
            return Err(Refusal::bad("The message you're forwarding does not exist.").into());
        };
        let mode = facts(connection, place)?.map(|facts| facts.mode);
        // Those who would get it there need not be in the room that it is from.
        if is_encrypted || mode.is_some_and(Mode::is_encrypted) {
            return Err(Refusal::bad("Messages of encrypted rooms cannot be forwarded.").into());
        }
    }
    Ok(())
}

fn is_in(own: Option<&Membership>) -> bool {
    own.is_some_and(Membership::is_active)
}

fn new_row(
    connection: &Connection,
    room: RoomId,
    sender: crate::values::MemberId,
    mode: Mode,
    body: SendBody,
) -> Result<NewRow, Stop> {
    let row = NewRow::of(RowKind::Text, sender);
    let row = NewRow {
        client_message_id: body.client_message_id.clone(),
        nonce: body.nonce.clone(),
        ..row
    };
    if mode.is_encrypted() {
        return Ok(NewRow { is_encrypted: true, payload: body.payload(), ..row });
    }
    Ok(NewRow {
        mentioned: mentioned(connection, room, body.content.as_deref())?,
        content: body.content.filter(|content| !is_blank(Some(content))),
        meta: body.meta.unwrap_or_default(),
        attachments: body.attachments_id.unwrap_or_default(),
        replied: body.replied_message_id,
        forwarded: body.forwarded_message_id,
        ..row
    })
}

/// The members that a text names, each by `@` and the name of its account.
pub(super) fn mentioned(
    connection: &Connection,
    room: RoomId,
    content: Option<&str>,
) -> Result<Vec<AccountId>, Stop> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
    let words = content.unwrap_or_default().split('@').skip(1);
    let names = words.map(|rest| {
        let end = rest.find(|letter| !is_part(letter)).unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default().trim_end_matches(['.', '-'])
    });
    let sql = "SELECT a.id FROM accounts a JOIN members m ON m.account_id = a.id \
               WHERE a.name = ?1 AND m.room_id = ?2 AND m.joined_at IS NOT NULL \
               AND m.leave_at IS NULL AND m.deleted_at IS NULL";
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = Vec::new();
    for name in names.filter(|name| !name.is_empty()) {
        let account = statement.query_row((name, room), |row| row.get(0)).optional()?;
        found.extend(account.filter(|account| !found.contains(account)));
    }
    Ok(found)
}

/// What a push says about an encrypted message, and all that it says.
const ENCRYPTED: &str = "Encrypted message";

/// Tells those who are not looking about a message.
pub(super) fn push_all(
    work: &mut Work<'_>,
    facts: &Facts,
    sender: AccountId,
    message: &Message,
) -> Result<(), Stop> {
    if !work.is_pushing {
        return Ok(());
    }
    let room = message.chat_room_id;
    let sql = "SELECT account_id, notify, break_until FROM members WHERE room_id = ?1 \
               AND joined_at IS NOT NULL AND leave_at IS NULL AND deleted_at IS NULL";
    let mut statement = work.connection.prepare_cached(sql)?;
    let readers = statement.query_map([room], |row| {
        let account = row.get(0)?;
        Ok(Reader {
            account,
            notify: row.get(1)?,
            break_until: row.get(2)?,
            is_subscribed: work.hub.is_subscribed(room, account),
            is_mentioned: message.members_mentioned.contains(&account),
        })
    })?;
    let readers: Vec<Reader> = readers.collect::<Result<_, _>>()?;
    let nick = message.sender.nick.as_ref().unwrap_or(&message.sender.account.nick);
    let body = match (message.is_encrypted, message.content.as_deref()) {
        (true, _) => ENCRYPTED,
        (false, Some(content)) => content,
        (false, None) if message.kind == RowKind::Voice => "Voice message",
        (false, None) => "Attachment",
    };
    let readers = readers.into_iter().filter(|reader| is_pushed(sender, reader, work.now));
    work.effects.extend(readers.map(|reader| {
        Effect::Push(Push {
            account_id: reader.account,
            topic: "messages.new",
            title: format!("{nick} ({})", facts.name.as_deref().unwrap_or("DM")),
            body: body.to_owned(),
            meta: json!({
                "sender_name": nick, "user_id": sender, "sender_id": message.sender_id,
                "message_id": message.id, "room_id": room, "room_name": facts.name,
            }),
            action: format!("/chat/{room}"),
        })
    }));
    Ok(())
}
