//! Rows of timelines.

use std::fmt;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json, value::RawValue};

use super::{
    Client, ClientError,
    rooms::MemberWire,
    wire::{Elements, Moment, Octets, element, short},
};
use crate::crypto::{AccountId, Action, RoomId, Row, RowId, RowKind, SCHEME, SealedRow};

/// The end of the year 9999, in milliseconds since 1970: later than every row,
/// and a moment still for those who have it as a date.
const FAR: u64 = 253_402_300_799_000;

/// A row, as the server gives it. Everything in it is the server's word.
#[derive(Clone, Debug)]
pub struct TimelineRow {
    /// Its id.
    pub id: RowId,
    /// The room it stands in.
    pub room: RoomId,
    /// The account that it is from.
    pub sender: AccountId,
    /// What that account is found by.
    pub sender_name: String,
    /// When the server took it, in milliseconds since 1970.
    pub created_at: u64,
    /// What it is.
    pub kind: TimelineKind,
}

/// What a row is.
#[derive(Clone, Debug)]
pub enum TimelineKind {
    /// Something for [`Machine::open_row`](crate::crypto::Machine::open_row).
    Encrypted(Row),
    /// The server says something about the room.
    System(Notice),
    /// A message in the clear.
    Plain {
        /// What it says.
        text: String,
        /// Whether it says of itself that no person wrote it.
        is_automated: bool,
    },
    /// Something else: a reaction, a voice clip, what is left of a message that
    /// was deleted, an edit in the clear.
    Other {
        /// Its `type`.
        name: String,
    },
}

/// What the server says about a room. Nothing proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// An account is in the room now.
    Joined {
        /// The account.
        account: AccountId,
    },
    /// An account is not in the room any more.
    Left {
        /// The account.
        account: AccountId,
        /// Who removed it, if somebody did.
        by: Option<AccountId>,
    },
    /// From here on what is written is encrypted.
    EncryptionEnabled,
    /// Sessions have to begin anew.
    RotateRequired,
    /// Something else.
    Other {
        /// Its `type`.
        name: String,
    },
}

/// What marks a message in the clear that no person wrote, in its `meta`.
const AUTOMATED: &str = "automated";

/// A message in the clear that is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Said {
    /// What it says.
    pub text: String,
    /// What it is called; the same for every attempt. 1 to 128 bytes.
    pub client_message_id: String,
    /// The row that it answers.
    pub reply_to: Option<RowId>,
    /// Whether it says of itself that no person wrote it.
    pub is_automated: bool,
}

impl fmt::Debug for Said {
    /// Leaves out the text, so that it cannot reach a log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Said").field("reply_to", &self.reply_to).finish_non_exhaustive()
    }
}

/// Rows that are newer than a moment.
#[derive(Clone, Debug)]
pub struct Page {
    /// The oldest first.
    pub rows: Vec<TimelineRow>,
    /// How many more there were that are not rows.
    pub skipped: usize,
    /// What to ask with next, in milliseconds since 1970: when the last row was
    /// taken by the server, or as before.
    pub position: u64,
    /// What time it is at the server, in milliseconds since 1970, if there was no row.
    pub now: Option<u64>,
    /// Whether there was nothing more at the server; otherwise ask again.
    pub is_last: bool,
}

#[derive(Deserialize)]
struct PageWire {
    messages: Elements,
    current_timestamp: Moment,
}

/// Of something that is no row.
#[derive(Deserialize)]
struct TakenWire {
    created_at: Moment,
}

#[derive(Deserialize)]
struct RowWire {
    id: RowId,
    #[serde(rename = "type")]
    kind: String,
    content: Option<String>,
    #[serde(default)]
    is_encrypted: bool,
    ciphertext: Option<Octets>,
    encryption_scheme: Option<String>,
    encryption_epoch: Option<i64>,
    encryption_message_type: Option<String>,
    client_message_id: Option<String>,
    meta: Option<Map<String, Value>>,
    sender: MemberWire,
    chat_room_id: RoomId,
    created_at: Moment,
}

#[derive(Deserialize)]
struct IdWire {
    id: RowId,
}

/// A row that is sent.
#[derive(Serialize)]
struct PostWire<'a> {
    is_encrypted: bool,
    client_message_id: &'a str,
    ciphertext: Octets,
    encryption_scheme: &'static str,
    encryption_epoch: i64,
    encryption_message_type: &'static str,
}

/// A row, if it is one.
pub(crate) fn as_row(raw: &RawValue) -> Option<TimelineRow> {
    let wire: RowWire = element(raw)?;
    let named = |name: &str| {
        let id = wire.meta.as_ref()?.get(name)?;
        Some(id.as_str()?.to_owned())
    };
    let account = |name: &str| AccountId::parse(&named(name)?).ok();
    let target = || RowId::parse(&named("message_id")?).ok();
    let kind = match wire.kind.as_str() {
        "text" if wire.is_encrypted => Sort::Sealed(RowKind::Message),
        "messages.update" if wire.is_encrypted => Sort::Sealed(RowKind::Update { of: target()? }),
        "messages.delete" if wire.is_encrypted => Sort::Sealed(RowKind::Delete { of: target()? }),
        "text" => {
            let automated = wire.meta.as_ref().and_then(|meta| meta.get(AUTOMATED));
            let is_automated = automated.and_then(Value::as_bool).unwrap_or_default();
            Sort::Done(TimelineKind::Plain { text: wire.content.unwrap_or_default(), is_automated })
        }
        "system.member.joined" => {
            Sort::Done(TimelineKind::System(Notice::Joined { account: account("account_id")? }))
        }
        "system.member.left" => {
            let by = account("operator_account_id");
            Sort::Done(TimelineKind::System(Notice::Left { account: account("account_id")?, by }))
        }
        "system.e2ee.enabled" => Sort::Done(TimelineKind::System(Notice::EncryptionEnabled)),
        "system.e2ee.rotate_required" => Sort::Done(TimelineKind::System(Notice::RotateRequired)),
        name if name.starts_with("system.") => {
            Sort::Done(TimelineKind::System(Notice::Other { name: short(name) }))
        }
        name => Sort::Done(TimelineKind::Other { name: short(name) }),
    };
    let (id, room, sender) = (wire.id, wire.chat_room_id, wire.sender.account_id);
    let kind = match (kind, wire.ciphertext) {
        (Sort::Done(kind), _) => kind,
        // The message was deleted, and this with it.
        (Sort::Sealed(_), None) => TimelineKind::Other { name: short(&wire.kind) },
        (Sort::Sealed(kind), Some(ciphertext)) => TimelineKind::Encrypted(Row {
            id,
            room,
            sender,
            kind,
            scheme: wire.encryption_scheme.unwrap_or_default(),
            // No session has this number, so it is refused.
            epoch: wire.encryption_epoch.unwrap_or(-1),
            message_type: wire.encryption_message_type.unwrap_or_default(),
            client_message_id: wire.client_message_id,
            ciphertext: ciphertext.0,
        }),
    };
    let sender_name = wire.sender.name();
    Some(TimelineRow { id, room, sender, sender_name, created_at: wire.created_at.0, kind })
}

enum Sort {
    Sealed(RowKind),
    Done(TimelineKind),
}

impl Client {
    /// The rows of a room that are newer than `since`, in milliseconds since
    /// 1970, a page of them.
    ///
    /// # Errors
    ///
    /// See [`ClientError`]; refused with 403 if this account is not in it.
    pub async fn sync_room(&self, room: RoomId, since: u64) -> Result<Page, ClientError> {
        self.sync(&["api", "chat", &room.to_string(), "sync"], since).await
    }

    /// The rows of all rooms that this account is in that are newer than
    /// `since`, in milliseconds since 1970, a page of them. Rows of a room that
    /// was joined late are not given again from its beginning.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn sync_all(&self, since: u64) -> Result<Page, ClientError> {
        self.sync(&["api", "chat", "sync"], since).await
    }

    /// The moment up to which all rows of all rooms are there, in milliseconds
    /// since 1970, as the server says: where a device begins that wants nothing of
    /// what was before.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn newest(&self) -> Result<u64, ClientError> {
        let body = json!({ "last_sync_timestamp": FAR });
        let page: PageWire = self.send(Method::POST, &["api", "chat", "sync"], &body).await?;
        Ok(page.current_timestamp.0)
    }

    async fn sync(&self, path: &[&str], since: u64) -> Result<Page, ClientError> {
        let asked = i64::try_from(since).unwrap_or(i64::MAX);
        let body = json!({ "last_sync_timestamp": asked });
        let page: PageWire = self.send(Method::POST, path, &body).await?;
        if page.messages.is_empty() {
            let now = Some(page.current_timestamp.0);
            return Ok(Page { rows: Vec::new(), skipped: 0, position: since, now, is_last: true });
        }
        let taken = page.messages.iter().filter_map(|row| element(row));
        let position = taken.map(|TakenWire { created_at }| created_at.0).max();
        let position = position.filter(|position| *position >= since).ok_or_else(|| {
            ClientError::nonsense("of rows that are not behind what was asked for")
        })?;
        // Rows can be taken at parts of a millisecond. Those of the last one come again, and
        // would come for ever.
        let is_last = position == since;
        let rows: Vec<TimelineRow> = page.messages.iter().filter_map(|row| as_row(row)).collect();
        let skipped = page.messages.len() - rows.len();
        Ok(Page { rows, skipped, position, now: None, is_last })
    }

    /// Sends a message in the clear; refused in a room that is encrypted. Sent
    /// again, it is the same.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn say(&self, room: RoomId, said: &Said) -> Result<RowId, ClientError> {
        let body = json!({
            "content": said.text,
            "client_message_id": said.client_message_id,
            "replied_message_id": said.reply_to,
            "meta": { AUTOMATED: said.is_automated },
        });
        let path = ["api", "chat", &room.to_string(), "messages"];
        let new: IdWire = self.send(Method::POST, &path, &body).await?;
        Ok(new.id)
    }

    /// Says something else in a message in the clear of this account. Sent again,
    /// it is the same.
    ///
    /// # Errors
    ///
    /// See [`ClientError`]; refused with 404 if it was taken back.
    pub async fn say_instead(
        &self,
        room: RoomId,
        row: RowId,
        text: &str,
        client_message_id: &str,
    ) -> Result<(), ClientError> {
        let body = json!({ "content": text, "client_message_id": client_message_id });
        let path = ["api", "chat", &room.to_string(), "messages", &row.to_string()];
        let edited: IdWire = self.send(Method::PATCH, &path, &body).await?;
        let is_it = edited.id == row;
        is_it.then_some(()).ok_or_else(|| ClientError::nonsense("about another row"))
    }

    /// Takes a message in the clear of this account back. Sent again, it is the
    /// same.
    ///
    /// # Errors
    ///
    /// See [`ClientError`]; refused with 404 if it was taken back otherwise.
    pub async fn take_back(
        &self,
        room: RoomId,
        row: RowId,
        client_message_id: &str,
    ) -> Result<(), ClientError> {
        let body = json!({ "client_message_id": client_message_id });
        let path = ["api", "chat", &room.to_string(), "messages", &row.to_string()];
        super::http::taken(self.request(Method::DELETE, &path).json(&body)).await.map(drop)
    }

    /// Sends a row: a message, an edit or a deletion, by its action. Gives the
    /// row of the message that it is, or is about. Sent again, it is the same.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn post(&self, row: &SealedRow) -> Result<RowId, ClientError> {
        let body = PostWire {
            is_encrypted: true,
            client_message_id: &row.client_message_id,
            ciphertext: Octets(row.ciphertext.clone()),
            encryption_scheme: SCHEME,
            encryption_epoch: row.epoch,
            encryption_message_type: row.action.label(),
        };
        let room = row.room.to_string();
        let of = row.action.target().map(|target| target.to_string());
        let mut path = vec!["api", "chat", &room, "messages"];
        path.extend(of.as_deref());
        match row.action {
            Action::New => {
                let new: IdWire = self.send(Method::POST, &path, &body).await?;
                Ok(new.id)
            }
            Action::Edit { target } => {
                let edited: IdWire = self.send(Method::PATCH, &path, &body).await?;
                let is_it = edited.id == target;
                is_it.then_some(target).ok_or_else(|| ClientError::nonsense("about another row"))
            }
            Action::Delete { target } => {
                super::http::taken(self.request(Method::DELETE, &path).json(&body)).await?;
                Ok(target)
            }
        }
    }
}

#[cfg(test)]
mod tests;
