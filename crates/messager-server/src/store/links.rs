//! What was found behind the links of a message.

use rusqlite::OptionalExtension;
use serde_json::json;
use url::Url;

use super::{
    Effect, Stop, Work,
    rooms::known,
    timeline::{NewRow, announce, append},
};
use crate::{
    previews::Preview,
    refusal::Refusal,
    rules,
    values::{MemberId, MessageId, RoomId},
    wire::{Link, RowKind},
};

/// Has the links of a message looked at, if it has any. Of one that is
/// encrypted there is nothing to be seen.
pub(super) fn look_later(
    work: &mut Work<'_>,
    room: RoomId,
    message: MessageId,
    content: Option<&str>,
) {
    let links = rules::links(content.unwrap_or_default());
    if !links.is_empty() {
        work.effects.push(Effect::Preview(Preview { room, message, links }));
    }
}

/// Adds what was found to a message, and a row that says so; unless the message
/// says something else by now.
pub(crate) fn add(
    work: &mut Work<'_>,
    (room, message): (RoomId, MessageId),
    links: &[Url],
    found: &[Link],
) -> Result<(), Stop> {
    if known(work.connection, room)?.mode.is_encrypted() {
        return Err(Refusal::NotFound("message").into());
    }
    let sql = "SELECT sender_id, content FROM messages WHERE id = ?1 AND room_id = ?2 \
               AND deleted_at IS NULL AND is_encrypted = 0";
    let mut statement = work.connection.prepare_cached(sql)?;
    let row = statement.query_row((message, room), |row| Ok((row.get(0)?, row.get(1)?)));
    let (sender, content): (MemberId, Option<String>) =
        row.optional()?.ok_or(Refusal::NotFound("message"))?;
    if rules::links(&content.unwrap_or_default()) != links {
        return Err(Refusal::NotFound("message").into());
    }
    let embeds = json!(found);
    let sql = "UPDATE messages SET meta = json_set(meta, '$.embeds', json(?2)) WHERE id = ?1";
    work.connection.prepare_cached(sql)?.execute((message, embeds.to_string()))?;
    let mut row = NewRow::about(RowKind::Links, sender, message);
    row.meta.insert("embeds".into(), embeds);
    let (id, _) = append(work, room, row)?;
    announce(work, id)?;
    Ok(())
}
