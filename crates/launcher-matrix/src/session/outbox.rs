//! Messages that an operator has the agent send, each once.
//!
//! A kill between any two steps is harmless to whoever gives the message again
//! under its key: before the first attempt the journal knows nothing; after
//! that, every attempt has the transaction that the journal has, which the
//! server takes for one message; and once the event is in the journal nothing
//! is sent any more. What another device of the agent tried, or this one so
//! long ago that the server may have forgotten the transaction, is looked for
//! in the room first.

use std::time::Duration;

use async_trait::async_trait;
use launcher_core::{
    backoff,
    names::{DeviceId, EventId, RoomId as Room, UserId},
    target::Target,
};
use launcher_runtime::{
    ports::{
        SendFault,
        journal::OutgoingRecord,
        outbox::{Outbox, OutboxError, Outgoing, OutgoingContent, Sent},
    },
    stamp,
};
use matrix_sdk::{
    RoomMemberships, RoomState,
    room::MessagesOptions,
    ruma::{OwnedRoomId, RoomAliasId, RoomId, UInt, events::room::member::MembershipState},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tracing::warn;

use super::{Live, MatrixSession, files::upload_limit};
use crate::{
    content::{self, FileAt},
    errors, feed,
};

/// How long it is tried. Whoever waits learns then that it did not work yet.
const PATIENCE: Duration = Duration::from_secs(90);

/// Bytes of content that fit into an event once they are encrypted: 65,536
/// (spec, "Size limits") less what stands around it, less a quarter for base64.
const LONGEST_CONTENT: usize = 45_000;

/// How long a server surely knows a transaction. Synapse remembers one for a
/// day; a new start of it must not matter.
const TRANSACTIONS_LAST: Duration = Duration::from_secs(12 * 3_600);

/// Pages of a hundred events that are searched for an earlier attempt at most.
const PAGES_BACK: usize = 10;

/// How far clocks may differ when an earlier attempt is looked for.
const CLOCKS_DIFFER: Duration = Duration::from_secs(600);

/// What is said to whoever comes when the agent lets go.
const ENDING: &str = "the agent is stopping";

#[async_trait]
impl Outbox for MatrixSession {
    async fn send(&self, message: &Outgoing) -> Result<Sent, OutboxError> {
        let sent = self.serving.work(self.send_once(message)).await;
        sent.unwrap_or_else(|| Err(OutboxError::Late { detail: ENDING.to_owned() }))
    }
}

impl MatrixSession {
    /// Sends what was not sent before under its key.
    async fn send_once(&self, message: &Outgoing) -> Result<Sent, OutboxError> {
        let _turn = self.keys.take(&message.key).await;
        let journal = &self.parts.journal;
        let digest = digest(message);
        let known = journal.outgoing(&message.key).await?;
        let mut record = match &known {
            Some(known) if known.digest != digest => return Err(other_content()),
            Some(known) => known.clone(),
            None => OutgoingRecord {
                room: self.resolve(&message.target).await?,
                digest,
                transaction: transaction(&self.parts.spec.account.user_id, &message.key),
                device: DeviceId::new(self.login().device_id),
                began: stamp(),
                event: None,
            },
        };
        if let Some(event) = record.event {
            return Ok(Sent { event, room: record.room, sent_before: true });
        }
        self.check_length(message, &record.transaction)?;
        if known.is_some()
            && let Some(event) = self.sent_before(&record).await?
        {
            let record = OutgoingRecord { event: Some(event.clone()), ..record };
            journal.keep_outgoing(&message.key, &record).await?;
            return Ok(Sent { event, room: record.room, sent_before: true });
        }
        record.device = DeviceId::new(self.login().device_id);
        journal.keep_outgoing(&message.key, &record).await?;
        let event = self.try_to_send(message, &record).await?;
        let record = OutgoingRecord { event: Some(event.clone()), ..record };
        journal.keep_outgoing(&message.key, &record).await?;
        Ok(Sent { event, room: record.room, sent_before: false })
    }

    /// Sends until the server has it, refuses it for good, or the time is over.
    async fn try_to_send(
        &self,
        message: &Outgoing,
        record: &OutgoingRecord,
    ) -> Result<EventId, OutboxError> {
        let limit = match &message.content {
            OutgoingContent::Text(_) => PATIENCE,
            OutgoingContent::File(file) => PATIENCE + upload_limit(file.bytes.len()),
        };
        let end = Instant::now() + limit;
        let mut file = None;
        for failures in 0.. {
            let attempt = self.attempt(message, record, &mut file);
            let detail = match tokio::time::timeout_at(end, attempt).await {
                Ok(Ok(event)) => return Ok(event),
                Ok(Err(SendFault::Refused { detail })) => return Err(not_taken(&detail)),
                Ok(Err(SendFault::Passing { detail, retry_after })) => {
                    self.check_broken()?;
                    let wait = backoff::wait(failures.min(4), 0.5, retry_after);
                    let again = Instant::now().checked_add(wait);
                    if again.is_some_and(|again| again < end) && !self.serving.is_closing() {
                        warn!(room = %record.room, detail, retry_in = ?wait, "sending for an operator failed");
                        tokio::time::sleep(wait).await;
                        continue;
                    }
                    detail
                }
                Err(_) => format!("it took longer than {} s", limit.as_secs()),
            };
            return Err(OutboxError::Late { detail });
        }
        Err(OutboxError::Late { detail: "it was tried too often".to_owned() })
    }

    /// One attempt. A file that was uploaded by an earlier one is not uploaded
    /// again, unless the room became encrypted meanwhile.
    async fn attempt(
        &self,
        message: &Outgoing,
        record: &OutgoingRecord,
        uploaded: &mut Option<FileAt>,
    ) -> Result<EventId, SendFault> {
        if let OutgoingContent::File(file) = &message.content {
            self.put_file(&record.room, &file.content_type, &file.bytes, uploaded).await?;
        }
        let content = content::outgoing(message, &record.transaction, uploaded.as_ref());
        self.send_event(&record.room, content::MESSAGE, content, &record.transaction).await
    }

    /// The room that is meant, of those that the agent is in.
    async fn resolve(&self, target: &Target) -> Result<Room, OutboxError> {
        let live = self.live().await?;
        let id = match target {
            Target::Room(room) => RoomId::parse(room.as_str()).map_err(|_| {
                refused(format!("{room} is not a room id"), "copy it from the room's settings")
            })?,
            Target::Alias(alias) => self.resolve_alias(&live, alias).await?,
            Target::Direct(user) => self.room_alone_with(&live, user).await?,
        };
        let is_joined =
            live.client.get_room(&id).is_some_and(|room| room.state() == RoomState::Joined);
        match is_joined {
            true => Ok(Room::new(id.as_str())),
            false => Err(refused(
                format!("{} is not in the room {target}", self.parts.spec.id),
                format!("invite {} to it", self.parts.spec.account.user_id),
            )),
        }
    }

    async fn resolve_alias(&self, live: &Live, alias: &str) -> Result<OwnedRoomId, OutboxError> {
        let id = RoomAliasId::parse(alias).map_err(|_| {
            refused(format!("{alias} is not an alias"), "write it like #room:server")
        })?;
        let answer = live.client.resolve_room_alias(&id).await;
        let answer = answer.map_err(|error| {
            let error = matrix_sdk::Error::from(error);
            match errors::send_fault(&error) {
                SendFault::Refused { .. } => refused(
                    format!("the homeserver knows no room {alias}"),
                    "look whether the alias is right, or give the room's id",
                ),
                SendFault::Passing { detail, .. } => OutboxError::Late { detail },
            }
        })?;
        Ok(answer.room_id)
    }

    /// The encrypted room in which the agent is alone with a user. If there are
    /// more, one that the user has joined; then one that the account calls
    /// direct; then the first by its id, so that it is always the same.
    async fn room_alone_with(
        &self,
        live: &Live,
        user: &UserId,
    ) -> Result<OwnedRoomId, OutboxError> {
        let mut found = Vec::new();
        for room in live.client.joined_rooms() {
            if room.active_members_count() != 2 {
                continue;
            }
            let members = room.members(RoomMemberships::ACTIVE).await;
            let members =
                members.map_err(|error| errors::fault(&self.parts.spec.account, &error))?;
            let other = members.iter().find(|member| member.user_id().as_str() == user.as_str());
            let Some(other) = other.filter(|_| members.len() == 2) else { continue };
            let encryption = room.latest_encryption_state().await;
            let encryption =
                encryption.map_err(|error| errors::fault(&self.parts.spec.account, &error))?;
            if encryption.is_encrypted() {
                let is_invited = *other.membership() != MembershipState::Join;
                let is_direct = room.direct_targets().iter().any(|id| id.as_str() == user.as_str());
                found.push((is_invited, !is_direct, room.room_id().to_owned()));
            }
        }
        found.into_iter().min().map(|(_, _, id)| id).ok_or_else(|| {
            let agent = &self.parts.spec.id;
            refused(
                format!("{agent} is in no encrypted room alone with {user}"),
                format!("run `launcher invites {agent} dm {user}`, or have the user invite it"),
            )
        })
    }

    /// An earlier attempt whose answer was not noted, if the server has it.
    ///
    /// The server itself recognizes what this device tried a short while ago.
    async fn sent_before(&self, record: &OutgoingRecord) -> Result<Option<EventId>, OutboxError> {
        let is_own = record.device.as_str() == self.login().device_id;
        if is_own && stamp().since(record.began) < TRANSACTIONS_LAST {
            return Ok(None);
        }
        let live = self.live().await?;
        let room = RoomId::parse(record.room.as_str()).ok();
        let Some(room) = room.and_then(|id| live.client.get_room(&id)) else { return Ok(None) };
        let own = self.parts.spec.account.user_id.as_str();
        let began = record.began.minus(CLOCKS_DIFFER).0;
        let mut from = None;
        for _ in 0..PAGES_BACK {
            let mut options = MessagesOptions::backward();
            options.limit = UInt::from(100_u32);
            options.from = from.take();
            let page = room.messages(options).await;
            let page = page.map_err(|error| errors::fault(&self.parts.spec.account, &error))?;
            let events: Vec<Value> = page
                .chunk
                .iter()
                .filter_map(|event| serde_json::from_str(event.raw().json().get()).ok())
                .collect();
            let is_it = |event: &&Value| {
                event["sender"] == own
                    && (event["content"][content::TRANSACTION] == *record.transaction
                        || is_own && event["unsigned"]["transaction_id"] == *record.transaction)
            };
            if let Some(event) = events.iter().find(is_it).and_then(feed::event_id) {
                return Ok(Some(EventId::new(event)));
            }
            let is_old =
                |event: &Value| event["origin_server_ts"].as_u64().is_some_and(|sent| sent < began);
            match page.end {
                Some(end) if !events.iter().any(is_old) => from = Some(end),
                _ => break,
            }
        }
        Ok(None)
    }

    /// What is too long for an event is not tried: it would be encrypted first.
    fn check_length(&self, message: &Outgoing, transaction: &str) -> Result<(), OutboxError> {
        let length = content::outgoing(message, transaction, None).to_string().len();
        match length <= LONGEST_CONTENT {
            true => Ok(()),
            false => Err(refused(
                format!(
                    "the message takes {length} bytes with its HTML, and {LONGEST_CONTENT} fit \
                     into one"
                ),
                "send it as a file, or in parts",
            )),
        }
    }
}

/// The same for every attempt to send what is sent under this key. A hash:
/// keys can say what a message is about.
fn transaction(user: &str, key: &str) -> String {
    format!("send-{}", hash(&[user.as_bytes(), key.as_bytes()]))
}

/// Tells messages apart.
fn digest(message: &Outgoing) -> String {
    let (kind, parts): (&str, Vec<&[u8]>) = match &message.content {
        OutgoingContent::Text(text) => ("text", vec![text.as_bytes()]),
        OutgoingContent::File(file) => (
            "file",
            vec![
                file.name.as_bytes(),
                file.content_type.as_bytes(),
                &file.bytes,
                file.caption.as_deref().unwrap_or_default().as_bytes(),
            ],
        ),
    };
    let about =
        json!([kind, message.target.to_string(), message.thread, message.notice]).to_string();
    let parts: Vec<&[u8]> = std::iter::once(about.as_bytes()).chain(parts).collect();
    hash(&parts)
}

/// Each part counts with its length, so that nothing moves from one to the next.
fn hash(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn refused(reason: impl Into<String>, action: impl Into<String>) -> OutboxError {
    OutboxError::Refused { reason: reason.into(), action: action.into() }
}

fn not_taken(detail: &str) -> OutboxError {
    refused(
        format!("the message was refused: {detail}"),
        "look at the agent's rights in that room; the same command tries again",
    )
}

/// Does not repeat the key: what is refused is logged, and a key can say what a
/// message is about.
fn other_content() -> OutboxError {
    refused(
        "something else was sent under this key",
        "take another key for another message; for the same one, repeat the command unchanged",
    )
}

#[cfg(test)]
mod tests {
    use launcher_runtime::ports::outbox::Attachment;

    use super::*;

    fn text(target: &str, text: &str) -> Outgoing {
        Outgoing {
            target: target.parse().unwrap(),
            key: "k".into(),
            thread: None,
            notice: false,
            content: OutgoingContent::Text(text.into()),
        }
    }

    #[test]
    fn a_transaction_follows_from_agent_and_key_and_does_not_show_it() {
        let one = transaction("@a:hs", "invoice 17");
        assert_eq!(one, transaction("@a:hs", "invoice 17"));
        assert_ne!(one, transaction("@b:hs", "invoice 17"));
        assert_ne!(one, transaction("@a:h", "sinvoice 17"));
        assert!(one.starts_with("send-") && one.len() == 69 && !one.contains("invoice"));
    }

    #[test]
    fn messages_that_differ_in_anything_are_told_apart() {
        let file = |name: &str, caption: Option<&str>| Outgoing {
            content: OutgoingContent::File(Attachment {
                name: name.into(),
                content_type: "text/plain".into(),
                bytes: b"x".to_vec(),
                caption: caption.map(Into::into),
                voice: false,
            }),
            ..text("!r", "")
        };
        let all = [
            text("!r", "x"),
            text("!q", "x"),
            text("!r", "y"),
            Outgoing { notice: true, ..text("!r", "x") },
            Outgoing { thread: Some(EventId::new("$e")), ..text("!r", "x") },
            file("x", None),
            file("y", None),
            file("x", Some("x")),
        ];
        let digests: std::collections::BTreeSet<String> = all.iter().map(digest).collect();
        assert_eq!(digests.len(), all.len());
        let other_key = Outgoing { key: "other".into(), ..text("!r", "x") };
        assert_eq!(digest(&other_key), digest(&text("!r", "x")));
    }
}
