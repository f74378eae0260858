//! Edits: the message as it is now, and a row that says so.

use rusqlite::{Connection, OptionalExtension};

use super::{
    Stop, Work,
    members::membership,
    rooms::known,
    sending::mentioned,
    timeline::{NewRow, announce, append},
    view::Viewer,
};
use crate::{
    refusal::Refusal,
    rules::{Ability, Original, Place, may_edit, may_look_for},
    values::{AccountId, MessageId, Moment, RoomId, is_blank},
    wire::{Message, RowKind, SendBody},
};

/// What is to be edited or deleted, with the account that wrote it.
#[derive(Debug)]
pub(super) struct Found {
    pub kind: RowKind,
    author: AccountId,
    pub deleted: Option<Moment>,
    pub client_message_id: Option<String>,
    pub is_encrypted: bool,
}

impl Found {
    pub(super) fn original(&self, account: AccountId) -> Original {
        Original { kind: self.kind, is_own: self.author == account }
    }
}

/// A message of a room, also if it was deleted.
pub(super) fn found(
    connection: &Connection,
    room: RoomId,
    message: MessageId,
) -> Result<Found, Stop> {
    let sql = "SELECT t.kind, m.account_id, t.deleted_at, t.client_message_id, t.is_encrypted \
               FROM messages t JOIN members m ON m.id = t.sender_id WHERE t.id = ?1 AND t.room_id = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_row((message, room), |row| {
        Ok(Found {
            kind: row.get(0)?,
            author: row.get(1)?,
            deleted: row.get(2)?,
            client_message_id: row.get(3)?,
            is_encrypted: row.get(4)?,
        })
    });
    Ok(found.optional()?.ok_or(Refusal::NotFound("message"))?)
}

/// Whether this was done to a message before, with the same `client_message_id`.
pub(super) fn is_done(
    connection: &Connection,
    message: MessageId,
    kind: RowKind,
    client_message_id: Option<&str>,
) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM messages WHERE target_id = ?1 AND kind = ?2 \
               AND client_message_id = ?3";
    connection.prepare_cached(sql)?.exists((message, kind, client_message_id))
}

/// Replaces what a message says.
pub(crate) fn edit(
    work: &mut Work<'_>,
    (room, message): (RoomId, MessageId),
    account: AccountId,
    ability: Ability,
    mut body: SendBody,
) -> Result<Message, Stop> {
    let connection = work.connection;
    let facts = known(connection, room).map_err(|_| Refusal::NotFound("message"))?;
    let own = membership(connection, room, account)?;
    let place = Place { mode: facts.mode, membership: own.as_ref(), ability, now: work.now };
    may_look_for(&place)?;
    let found = found(connection, room, message)?;
    if found.deleted.is_some() {
        return Err(Refusal::NotFound("message").into());
    }
    may_edit(&place, found.original(account), &body)?;
    let own = own.ok_or(Refusal::NotFound("message"))?;
    body.client_message_id = body.client_message_id.filter(|id| !is_blank(Some(id)));
    let again = body.client_message_id.as_deref();
    if again.is_some() && is_done(connection, message, RowKind::Update, again)? {
        return Viewer::new(connection, Some(account)).message(message);
    }
    let before = Viewer::new(connection, None).message(message)?;
    let mut row = NewRow::about(RowKind::Update, own.id, message);
    // What its links led to goes with them.
    row.meta.extend(before.meta.into_iter().filter(|(name, _)| name != "embeds"));
    row.client_message_id = body.client_message_id.clone();
    if facts.mode.is_encrypted() {
        row.is_encrypted = true;
        row.payload = body.payload();
    } else {
        row.meta.insert("previous_content".into(), before.content.into());
        row.mentioned = mentioned(connection, room, body.content.as_deref())?;
        row.content = body.content.filter(|content| !is_blank(Some(content)));
        row.attachments = body.attachments_id.unwrap_or_default();
    }
    let change = "UPDATE messages SET (content, is_encrypted, ciphertext, encryption_header, \
                  encryption_signature, encryption_scheme, encryption_epoch, \
                  encryption_message_type, mentioned, attachments, edited_at, updated_at, meta) = \
                  (SELECT content, is_encrypted, ciphertext, encryption_header, \
                  encryption_signature, encryption_scheme, encryption_epoch, \
                  encryption_message_type, mentioned, attachments, created_at, created_at, \
                  (SELECT json_remove(meta, '$.embeds') FROM messages WHERE id = ?1) \
                  FROM messages WHERE id = ?2) WHERE id = ?1";
    let (id, _) = append(work, room, row)?;
    connection.prepare_cached(change)?.execute((message, id))?;
    let edited = announce(work, id)?;
    super::links::look_later(work, room, message, edited.content.as_deref());
    Viewer::new(connection, Some(account)).message(message)
}
