//! Rows at the end of a timeline, and who gets them.

use rusqlite::Connection;
use serde_json::{Map, Value, json};

use super::{Effect, Recipients, Stop, Work, view::Viewer};
use crate::{
    rules::Membership,
    values::{AccountId, MemberId, MessageId, Moment, RoomId, random},
    wire::{Message, Packet, Payload, RowKind},
};

/// A row that is to be written.
#[derive(Debug)]
pub(super) struct NewRow {
    pub kind: RowKind,
    pub sender: MemberId,
    pub content: Option<String>,
    pub is_encrypted: bool,
    pub payload: Payload,
    pub client_message_id: Option<String>,
    /// The message that it is about.
    pub target: Option<MessageId>,
    pub meta: Map<String, Value>,
    pub mentioned: Vec<AccountId>,
    pub nonce: Option<String>,
    pub attachments: Vec<String>,
    pub replied: Option<MessageId>,
    pub forwarded: Option<MessageId>,
}

impl NewRow {
    /// One with nothing in it.
    pub(super) fn of(kind: RowKind, sender: MemberId) -> Self {
        Self {
            kind,
            sender,
            content: None,
            is_encrypted: false,
            payload: Payload::default(),
            client_message_id: None,
            target: None,
            meta: Map::new(),
            mentioned: Vec::new(),
            nonce: None,
            attachments: Vec::new(),
            replied: None,
            forwarded: None,
        }
    }

    /// One about a message.
    pub(super) fn about(kind: RowKind, sender: MemberId, target: MessageId) -> Self {
        Self { target: Some(target), ..Self::of(kind, sender) }
    }
}

/// The moment of the newest row of all rooms.
pub(super) fn newest(connection: &Connection) -> rusqlite::Result<Moment> {
    let sql = "SELECT coalesce(max(last_row_at), 0) FROM rooms";
    connection.query_row(sql, [], |row| row.get(0))
}

/// Writes a row behind all others of its room. Gives its id and its moment.
pub(super) fn append(
    work: &mut Work<'_>,
    room: RoomId,
    mut row: NewRow,
) -> Result<(MessageId, Moment), Stop> {
    if let Some(target) = row.target {
        // Last: what authors put into `meta` never says which message it is.
        row.meta.insert("message_id".into(), target.to_string().into());
    }
    let sql = "UPDATE rooms SET last_row_at = max(last_row_at + 1, ?2) WHERE id = ?1 \
               RETURNING last_row_at";
    let at: Moment =
        work.connection.prepare_cached(sql)?.query_row((room, work.now), |found| found.get(0))?;
    work.newest = work.newest.max(Some(at));
    let id = MessageId::new(at)?;
    let nonce = match row.nonce {
        Some(nonce) => nonce,
        None => uuid::Builder::from_random_bytes(random()?).into_uuid().to_string(),
    };
    let sql = "INSERT INTO messages (id, room_id, sender_id, kind, content, is_encrypted, \
               ciphertext, encryption_header, encryption_signature, encryption_scheme, \
               encryption_epoch, encryption_message_type, client_message_id, target_id, meta, \
               mentioned, nonce, attachments, replied_id, forwarded_id, created_at, updated_at) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, \
               ?17, ?18, ?19, ?20, ?21, ?21)";
    work.connection.prepare_cached(sql)?.execute(rusqlite::params![
        id,
        room,
        row.sender,
        row.kind,
        row.content,
        row.is_encrypted,
        row.payload.ciphertext,
        row.payload.header,
        row.payload.signature,
        row.payload.scheme,
        row.payload.epoch,
        row.payload.message_type,
        row.client_message_id,
        row.target,
        serde_json::to_string(&row.meta)?,
        serde_json::to_string(&row.mentioned)?,
        nonce,
        serde_json::to_string(&row.attachments)?,
        row.replied,
        row.forwarded,
        at,
    ])?;
    work.hub.counts().rows.inc();
    Ok((id, at))
}

/// Sends a row to all who are in the room now, inside the same transaction.
pub(super) fn announce(work: &mut Work<'_>, id: MessageId) -> Result<Message, Stop> {
    packet(work, "messages.new", id)
}

/// Sends a row as a packet of some kind.
pub(super) fn packet(work: &mut Work<'_>, kind: &str, id: MessageId) -> Result<Message, Stop> {
    let message = Viewer::new(work.connection, None).message(id)?;
    let recipients = Recipients::Accounts(active(work.connection, message.chat_room_id)?);
    let bytes = Packet::new(kind, &message).bytes()?;
    work.effects.push(Effect::Packet(recipients, bytes));
    Ok(message)
}

/// Who is in a room.
pub(crate) fn active(connection: &Connection, room: RoomId) -> rusqlite::Result<Vec<AccountId>> {
    let sql = "SELECT account_id FROM members WHERE room_id = ?1 AND joined_at IS NOT NULL \
               AND leave_at IS NULL AND deleted_at IS NULL";
    connection.prepare_cached(sql)?.query_map([room], |row| row.get(0))?.collect()
}

/// Says something about the room itself, in the clear.
pub(super) fn tell(
    work: &mut Work<'_>,
    room: RoomId,
    (kind, sender): (RowKind, MemberId),
    content: String,
    meta: Value,
) -> Result<(), Stop> {
    let meta = match meta {
        Value::Object(meta) => meta,
        _ => Map::new(),
    };
    let row = NewRow { content: Some(content), meta, ..NewRow::of(kind, sender) };
    let (id, _) = append(work, room, row)?;
    announce(work, id)?;
    Ok(())
}

/// Why the members of a room have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Joined,
    Left,
    Removed,
}

/// Says that the members of a room have changed, and then, if they encrypt with
/// keys of their own, that they need new ones.
pub(super) fn tell_change(
    work: &mut Work<'_>,
    room: RoomId,
    changed: &Membership,
    sender: MemberId,
    change: Change,
) -> Result<(), Stop> {
    let mut viewer = Viewer::new(work.connection, None);
    let (who, by) = (viewer.member(changed.id)?, viewer.member(sender)?);
    let nick = |member: &crate::wire::Member| {
        member.nick.clone().unwrap_or_else(|| member.account.nick.clone())
    };
    let ids = (changed.id, changed.account);
    let (kind, content, meta, reason) = match change {
        Change::Joined => (
            RowKind::Joined,
            format!("{} joined the chat.", nick(&who)),
            json!({ "event": "member_joined", "member_id": ids.0, "account_id": ids.1 }),
            "member_joined",
        ),
        Change::Left => (
            RowKind::Left,
            format!("{} left the chat.", nick(&who)),
            json!({
                "event": "member_left", "member_id": ids.0, "account_id": ids.1, "reason": "left",
            }),
            "member_left",
        ),
        Change::Removed => (
            RowKind::Left,
            format!("{} was removed by {}.", nick(&who), nick(&by)),
            json!({
                "event": "member_left", "member_id": ids.0, "account_id": ids.1,
                "reason": "removed", "operator_member_id": by.id,
                "operator_account_id": by.account_id,
            }),
            "member_removed",
        ),
    };
    tell(work, room, (kind, sender), content, meta)?;
    rotate(work, room, changed, sender, reason)
}

fn rotate(
    work: &mut Work<'_>,
    room: RoomId,
    changed: &Membership,
    sender: MemberId,
    reason: &str,
) -> Result<(), Stop> {
    // Only in rooms with sender keys.
    let sql = "UPDATE rooms SET last_rotation_at = max(last_rotation_at + 1, ?2) \
               WHERE id = ?1 AND mode = 2 RETURNING last_rotation_at";
    let hint = work
        .connection
        .prepare_cached(sql)?
        .query_map((room, work.now), |row| row.get::<_, i64>(0))?
        .next()
        .transpose()?;
    let Some(hint) = hint else { return Ok(()) };
    let meta = json!({
        "event": "e2ee_rotate_required", "room_id": room, "changed_member_id": changed.account,
        "changed_chat_member_id": changed.id, "reason": reason, "rotation_hint_epoch": hint,
    });
    let content = "E2EE sender key rotation required.".to_owned();
    tell(work, room, (RowKind::RotateRequired, sender), content, meta)
}
