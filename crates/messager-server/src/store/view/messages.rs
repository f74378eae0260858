//! Rows of timelines, with what stands in them.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, Row, params_from_iter, types::Value as Sql};

use super::{Viewer, rows::json};
use crate::{
    refusal::Refusal,
    store::{Stop, rooms::facts},
    values::{AccountId, MemberId, MessageId, Moment, Octets, RoomId},
    wire::{Attachment, Message, Reaction, RowKind},
};

const MESSAGE: &str = "t.id, t.room_id, t.sender_id, t.kind, t.content, t.is_encrypted, \
     t.ciphertext, t.encryption_header, t.encryption_signature, t.encryption_scheme, \
     t.encryption_epoch, t.encryption_message_type, t.client_message_id, t.meta, t.mentioned, \
     t.nonce, t.attachments, t.replied_id, t.forwarded_id, t.edited_at, t.created_at, \
     t.updated_at, t.deleted_at";

/// A row without what stands in other tables.
struct MessageRow {
    id: MessageId,
    room_id: RoomId,
    sender_id: MemberId,
    kind: RowKind,
    content: Option<String>,
    is_encrypted: bool,
    ciphertext: Option<Octets>,
    header: Option<Octets>,
    signature: Option<Octets>,
    scheme: Option<String>,
    epoch: Option<i64>,
    message_type: Option<String>,
    client_message_id: Option<String>,
    meta: String,
    mentioned: String,
    nonce: Option<String>,
    attachments: String,
    replied_id: Option<MessageId>,
    forwarded_id: Option<MessageId>,
    edited_at: Option<Moment>,
    created_at: Moment,
    updated_at: Moment,
    deleted_at: Option<Moment>,
}

fn message(row: &Row<'_>) -> rusqlite::Result<MessageRow> {
    Ok(MessageRow {
        id: row.get(0)?,
        room_id: row.get(1)?,
        sender_id: row.get(2)?,
        kind: row.get(3)?,
        content: row.get(4)?,
        is_encrypted: row.get(5)?,
        ciphertext: row.get(6)?,
        header: row.get(7)?,
        signature: row.get(8)?,
        scheme: row.get(9)?,
        epoch: row.get(10)?,
        message_type: row.get(11)?,
        client_message_id: row.get(12)?,
        meta: row.get(13)?,
        mentioned: row.get(14)?,
        nonce: row.get(15)?,
        attachments: row.get(16)?,
        replied_id: row.get(17)?,
        forwarded_id: row.get(18)?,
        edited_at: row.get(19)?,
        created_at: row.get(20)?,
        updated_at: row.get(21)?,
        deleted_at: row.get(22)?,
    })
}

/// Whether the messages that a row answers or hands on stand in it, too.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Whole,
    Quoted,
}

impl Viewer<'_> {
    /// Rows that match a condition on `t`, with its order and its limit.
    pub(crate) fn messages(
        &mut self,
        rest: &str,
        values: impl IntoIterator<Item = Sql>,
    ) -> Result<Vec<Message>, Stop> {
        let sql = format!("SELECT {MESSAGE} FROM messages t WHERE {rest}");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows: Vec<_> =
            statement.query_map(params_from_iter(values), message)?.collect::<Result<_, _>>()?;
        rows.into_iter().map(|row| self.filled(row, Depth::Whole)).collect()
    }

    /// A row, also one that was deleted.
    pub(crate) fn message(&mut self, id: MessageId) -> Result<Message, Stop> {
        let row = self.message_row(id)?.ok_or(Refusal::NotFound("message"))?;
        self.filled(row, Depth::Whole)
    }

    fn message_row(&self, id: MessageId) -> Result<Option<MessageRow>, Stop> {
        let sql = format!("SELECT {MESSAGE} FROM messages t WHERE t.id = ?1");
        Ok(self.connection.prepare_cached(&sql)?.query_row([id], message).optional()?)
    }

    fn quoted(
        &mut self,
        id: Option<MessageId>,
        room: RoomId,
    ) -> Result<Option<Box<Message>>, Stop> {
        let row = id.map(|id| self.message_row(id)).transpose()?.flatten();
        let row = row.filter(|row| row.deleted_at.is_none());
        // What is encrypted is for the members of its own room.
        let row = row.filter(|row| !row.is_encrypted || row.room_id == room);
        // What was handed on from a room that is deleted by now is gone with it.
        let Some(row) = row else { return Ok(None) };
        if facts(self.connection, row.room_id)?.is_none() {
            return Ok(None);
        }
        self.filled(row, Depth::Quoted).map(|message| Some(Box::new(message)))
    }

    fn filled(&mut self, row: MessageRow, depth: Depth) -> Result<Message, Stop> {
        let (replied_message, forwarded_message) = match depth {
            Depth::Whole => (
                self.quoted(row.replied_id, row.room_id)?,
                self.quoted(row.forwarded_id, row.room_id)?,
            ),
            Depth::Quoted => (None, None),
        };
        let sender = self.member(row.sender_id)?;
        let reactions = self.reactions(row.id)?;
        let mut reactions_count = BTreeMap::new();
        for reaction in &reactions {
            *reactions_count.entry(reaction.symbol.clone()).or_insert(0) += 1;
        }
        let reactions_made = self.reader.map(|reader| self.made(&reactions, reader)).transpose()?;
        let attachments: Option<Vec<String>> = json(Some(row.attachments))?;
        let attachments = attachments.unwrap_or_default().into_iter();
        Ok(Message {
            id: row.id,
            kind: row.kind,
            content: row.content,
            is_encrypted: row.is_encrypted,
            ciphertext: row.ciphertext,
            encryption_header: row.header,
            encryption_signature: row.signature,
            encryption_scheme: row.scheme,
            encryption_epoch: row.epoch,
            encryption_message_type: row.message_type,
            client_message_id: row.client_message_id,
            meta: json(Some(row.meta))?.unwrap_or_default(),
            members_mentioned: json(Some(row.mentioned))?.unwrap_or_default(),
            nonce: row.nonce,
            edited_at: row.edited_at,
            attachments: attachments.map(|id| Attachment { id }).collect(),
            reactions_count,
            reactions_made,
            reactions,
            replied_message_id: row.replied_id,
            replied_message,
            forwarded_message_id: row.forwarded_id,
            forwarded_message,
            sender_id: row.sender_id,
            sender,
            chat_room_id: row.room_id,
            chat_room: self.room(row.room_id)?,
            resource_identifier: format!("message:{}", row.id),
            created_at: row.created_at,
            updated_at: row.updated_at,
            deleted_at: row.deleted_at,
        })
    }

    fn reactions(&self, message: MessageId) -> Result<Vec<Reaction>, Stop> {
        let sql = "SELECT id, sender_id, symbol, attitude, created_at FROM reactions \
                   WHERE message_id = ?1 ORDER BY created_at, id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let reactions = statement.query_map([message], |row| {
            Ok(Reaction {
                id: row.get(0)?,
                message_id: message,
                sender_id: row.get(1)?,
                symbol: row.get(2)?,
                attitude: row.get(3)?,
                created_at: row.get(4)?,
                updated_at: row.get(4)?,
                deleted_at: None,
            })
        })?;
        Ok(reactions.collect::<Result<_, _>>()?)
    }

    fn made(
        &mut self,
        reactions: &[Reaction],
        reader: AccountId,
    ) -> Result<BTreeMap<String, bool>, Stop> {
        let mut made = BTreeMap::new();
        for reaction in reactions {
            let is_own = self.member(reaction.sender_id)?.account_id == reader;
            *made.entry(reaction.symbol.clone()).or_insert(false) |= is_own;
        }
        Ok(made)
    }
}
