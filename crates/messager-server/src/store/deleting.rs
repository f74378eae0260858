//! Deletes: the message is emptied and hidden, and a row says so.

use super::{
    Stop, Work,
    editing::{found, is_done},
    members::membership,
    rooms::known,
    timeline::{NewRow, announce, append},
    voices,
};
use crate::{
    refusal::Refusal,
    rules::{Ability, Place, may_delete, may_look_for},
    values::{AccountId, MessageId, RoomId, is_blank},
    wire::{DeleteBody, RowKind},
};

/// Deletes a message. Again with the same `client_message_id` it changes nothing.
pub(crate) fn delete(
    work: &mut Work<'_>,
    (room, message): (RoomId, MessageId),
    account: AccountId,
    ability: Ability,
    body: &DeleteBody,
) -> Result<(), Stop> {
    let connection = work.connection;
    let facts = known(connection, room).map_err(|_| Refusal::NotFound("message"))?;
    let own = membership(connection, room, account)?;
    let place = Place { mode: facts.mode, membership: own.as_ref(), ability, now: work.now };
    may_look_for(&place)?;
    let found = found(connection, room, message)?;
    let asked = body.client_message_id.as_deref().filter(|id| !is_blank(Some(id)));
    if found.deleted.is_some() {
        let is_own = found.original(account).is_own;
        if !is_own || !is_done(connection, message, RowKind::Delete, asked)? {
            return Err(Refusal::NotFound("message").into());
        }
        return Ok(ability.suits(facts.mode)?);
    }
    may_delete(&place, found.original(account), body)?;
    let own = own.ok_or(Refusal::NotFound("message"))?;
    let mut row = NewRow::about(RowKind::Delete, own.id, message);
    row.client_message_id = asked.map(str::to_owned).or(found.client_message_id);
    // That of the message: one of the time before encryption was in the clear.
    row.is_encrypted = found.is_encrypted;
    if facts.mode.is_encrypted() {
        row.payload = body.payload();
    }
    let (id, at) = append(work, room, row)?;
    // What was said is gone, with what it said before it was edited.
    let empty = "UPDATE messages SET content = NULL, ciphertext = NULL, encryption_header = NULL, \
                 encryption_signature = NULL, attachments = '[]', \
                 meta = json_remove(meta, '$.previous_content') \
                 WHERE id = ?1 OR (target_id = ?1 AND kind = 'messages.update')";
    connection.prepare_cached(empty)?.execute([message])?;
    let hide = "UPDATE messages SET deleted_at = ?2, updated_at = ?2, meta = '{}' WHERE id = ?1";
    voices::silence(connection, message)?;
    connection.prepare_cached(hide)?.execute((message, at))?;
    announce(work, id)?;
    Ok(())
}
