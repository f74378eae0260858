//! Voice clips, in rooms that are not encrypted.

use rusqlite::{Connection, OptionalExtension};
use serde_json::json;

use super::{
    Stop, Work,
    members::membership,
    rooms::{Facts, facts},
    sending::{check_references, push_all},
    timeline::{NewRow, announce, append},
};
use crate::{
    refusal::Refusal,
    rules::{Ability, Place, may_speak},
    values::{AccountId, MessageId, Mode, RoomId, VoiceId},
    wire::{Message, References, RowKind},
};

/// A clip.
#[derive(Debug)]
pub(crate) struct Clip {
    pub media_type: String,
    pub bytes: Vec<u8>,
}

/// What comes with a clip.
#[derive(Debug, Default)]
pub(crate) struct About {
    pub nonce: Option<String>,
    pub duration_ms: Option<i64>,
    pub references: References,
}

/// Refuses whoever cannot send a clip, before any of it is read.
pub(crate) fn check(
    connection: &Connection,
    room: RoomId,
    account: AccountId,
    now: crate::values::Moment,
) -> Result<(Facts, crate::values::MemberId), Stop> {
    let facts = facts(connection, room)?;
    let own = membership(connection, room, account)?.filter(|_| facts.is_some());
    let mode = facts.as_ref().map_or(Mode::Plain, |facts| facts.mode);
    may_speak(&Place { mode, membership: own.as_ref(), ability: Ability::None, now })?;
    let facts = facts.ok_or(Refusal::NotFound("room"))?;
    Ok((facts, own.ok_or(Refusal::NotFound("member"))?.id))
}

/// Sends a clip.
pub(crate) fn send(
    work: &mut Work<'_>,
    room: RoomId,
    account: AccountId,
    (clip, about): (Clip, About),
) -> Result<Message, Stop> {
    let (facts, own) = check(work.connection, room, account, work.now)?;
    check_references(work.connection, room, account, about.references)?;
    let voice = VoiceId::new(work.now)?;
    let sql = "INSERT INTO voices (id, room_id, media_type, bytes, created_at) \
               VALUES (?1, ?2, ?3, ?4, ?5)";
    let values = (voice, room, &clip.media_type, &clip.bytes, work.now);
    work.connection.prepare_cached(sql)?.execute(values)?;
    let References { replied, forwarded } = about.references;
    let row = NewRow::of(RowKind::Voice, own);
    let mut row = NewRow { nonce: about.nonce, replied, forwarded, ..row };
    let values = [
        ("voice_clip_id", json!(voice)),
        ("voice_url", json!(format!("/api/chat/{room}/voice/{voice}"))),
        ("mime_type", json!(clip.media_type)),
        ("size", json!(clip.bytes.len())),
        ("duration_ms", json!(about.duration_ms)),
    ];
    row.meta.extend(values.map(|(name, value)| (name.to_owned(), value)));
    let (id, _) = append(work, room, row)?;
    let mut message = announce(work, id)?;
    push_all(work, &facts, account, &message)?;
    message.reactions_made = Some(Default::default());
    Ok(message)
}

/// Deletes the clip of a message, if it has one.
pub(super) fn silence(connection: &Connection, message: MessageId) -> rusqlite::Result<()> {
    let sql = "SELECT json_extract(meta, '$.voice_clip_id') FROM messages \
               WHERE id = ?1 AND kind = 'voice'";
    let mut statement = connection.prepare_cached(sql)?;
    let clip: Option<Option<String>> =
        statement.query_row([message], |row| row.get(0)).optional()?;
    let clip: Option<VoiceId> = clip.flatten().and_then(|id| id.parse().ok());
    connection.prepare_cached("DELETE FROM voices WHERE id = ?1")?.execute([clip]).map(drop)
}

/// A clip, for members and, of public rooms, for everybody. Those that were
/// sent before a room was encrypted can still be heard.
pub(crate) fn hear(
    connection: &Connection,
    (room, voice): (RoomId, VoiceId),
    reader: Option<AccountId>,
) -> Result<Clip, Stop> {
    let facts = facts(connection, room)?;
    if !facts.as_ref().is_some_and(|facts| facts.is_public) {
        let reader = reader.ok_or(Refusal::LoginNeeded)?;
        let own = membership(connection, room, reader)?;
        if facts.is_some() && !own.is_some_and(|own| own.is_active()) {
            return Err(Refusal::Forbidden("You are not a member of this chat room.").into());
        }
    }
    let sql = "SELECT media_type, bytes FROM voices WHERE id = ?1 AND room_id = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let clip = statement
        .query_row((voice, room), |row| Ok(Clip { media_type: row.get(0)?, bytes: row.get(1)? }));
    Ok(clip.optional()?.filter(|_| facts.is_some()).ok_or(Refusal::NotFound("voice clip"))?)
}
