//! Messages that an operator has the agent send, each once.
//!
//! Before the first attempt the journal knows nothing; after that, every
//! attempt has the transaction that the journal has, which is the message's
//! name at the server; and once the row is in the journal nothing is sent any
//! more. The server keeps names for good, for the account and not for the
//! device, so nothing has to be looked for.

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
        rooms::RoomsError,
    },
    stamp,
};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tracing::warn;

use super::{MessagerSession, sending::Words};
use crate::{
    crypto::{Action, Body, MAX_BODY},
    names,
};

/// How long it is tried. Whoever waits learns then that it did not work yet.
const PATIENCE: Duration = Duration::from_secs(90);

#[async_trait]
impl Outbox for MessagerSession {
    async fn send(&self, message: &Outgoing) -> Result<Sent, OutboxError> {
        let sent = self.serving.work(self.send_once(message)).await;
        let detail = "the agent is stopping".to_owned();
        sent.unwrap_or(Err(OutboxError::Late { detail }))
    }
}

impl MessagerSession {
    /// Sends what was not sent before under its key.
    async fn send_once(&self, message: &Outgoing) -> Result<Sent, OutboxError> {
        let _turn = self.keys.take(&message.key).await;
        let OutgoingContent::Text(text) = &message.content else {
            return Err(refused("there are no files on this network", "send it as text"));
        };
        if text.len() > MAX_BODY {
            let reason = format!("the message has {} bytes, and {MAX_BODY} fit", text.len());
            return Err(refused(reason, "send it in parts"));
        }
        let journal = &self.parts.journal;
        let digest = digest(message, text);
        let known = journal.outgoing(&message.key).await?;
        let record = match known {
            Some(known) if known.digest != digest => {
                return Err(refused(
                    "another message was sent under this key",
                    "use another key, or none",
                ));
            }
            Some(known) => known,
            None => OutgoingRecord {
                room: self.resolve(&message.target).await?,
                digest,
                transaction: self.transaction(&message.key),
                device: DeviceId::new(self.address.device.as_str()),
                began: stamp(),
                event: None,
            },
        };
        if let Some(event) = record.event {
            return Ok(Sent { event, room: record.room, sent_before: true });
        }
        journal.keep_outgoing(&message.key, &record).await?;
        let event = self.try_to_send(message, text, &record).await?;
        let record = OutgoingRecord { event: Some(event.clone()), ..record };
        journal.keep_outgoing(&message.key, &record).await?;
        Ok(Sent { event, room: record.room, sent_before: false })
    }

    /// Sends until the server has it, refuses it for good, or the time is over.
    async fn try_to_send(
        &self,
        message: &Outgoing,
        text: &str,
        record: &OutgoingRecord,
    ) -> Result<EventId, OutboxError> {
        let end = Instant::now() + PATIENCE;
        let body = Body {
            thread: message.thread.as_ref().and_then(names::row_of),
            automated: message.notice,
            ..Body::text(text)
        };
        let mut failures = 0;
        loop {
            let transaction = record.transaction.clone();
            let words = Words { action: Action::New, body: body.clone(), transaction };
            let attempt = tokio::time::timeout_at(end, self.say(&record.room, words)).await;
            let (detail, retry_after) = match attempt {
                Ok(Ok(event)) => return Ok(event),
                Ok(Err(SendFault::Refused { detail })) => {
                    return Err(refused(detail, "see what it says; send it elsewhere"));
                }
                Ok(Err(SendFault::Passing { detail, retry_after })) => (detail, retry_after),
                Err(_) => {
                    let detail = format!("it took longer than {} s", PATIENCE.as_secs());
                    return Err(OutboxError::Late { detail });
                }
            };
            self.check_broken()?;
            let wait = backoff::wait(failures.min(4), 0.5, retry_after);
            failures += 1;
            let again = Instant::now().checked_add(wait);
            if again.is_none_or(|again| again >= end) || self.serving.is_closing() {
                return Err(OutboxError::Late { detail });
            }
            warn!(room = %record.room, detail, retry_in = ?wait, "sending for an operator failed");
            tokio::time::sleep(wait).await;
        }
    }

    /// The room that is meant, of those that the agent is in. A GUID can be that
    /// of a person: then it is the chat with them.
    async fn resolve(&self, target: &Target) -> Result<Room, OutboxError> {
        let agent = &self.parts.spec.id;
        let user = match target {
            Target::Room(room) => {
                let rooms = self.parts.client.rooms().await.map_err(|error| self.fault(&error))?;
                let id = names::room_of(room);
                if let Some(found) = rooms.iter().find(|found| Some(found.id) == id) {
                    return Ok(names::room(found.id));
                }
                UserId::new(room.as_str())
            }
            Target::Direct(user) => user.clone(),
            Target::Alias(alias) => {
                return Err(refused(
                    format!("{alias} is an alias, and rooms have none here"),
                    format!("`launcher invites {agent} rooms` lists the agent's rooms"),
                ));
            }
        };
        let found = match names::account_of(&user) {
            Some(account) => self.find_chat(account).await.map_err(outbox_error)?,
            None => None,
        };
        found.map(names::room).ok_or_else(|| {
            refused(
                format!("{agent} is in no room {user}, nor in an encrypted chat with them"),
                format!("`launcher invites {agent} rooms` lists the agent's rooms"),
            )
        })
    }

    /// The same for every attempt under this key. A hash: keys can say what a
    /// message is about.
    fn transaction(&self, key: &str) -> String {
        let account = self.address.account;
        let hash = Sha256::new().chain_update(account.as_bytes()).chain_update(key).finalize();
        format!("send-{}", names::hex(&hash))
    }
}

/// Tells messages apart. Each part counts with its length, so that nothing
/// moves from one to the next.
fn digest(message: &Outgoing, text: &str) -> String {
    let thread = message.thread.as_ref().map_or("", EventId::as_str);
    let notice = if message.notice { "notice" } else { "" };
    let mut hasher = Sha256::new();
    for part in [message.target.to_string().as_str(), thread, notice, text] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    names::hex(&hasher.finalize())
}

fn refused(reason: impl Into<String>, action: impl Into<String>) -> OutboxError {
    OutboxError::Refused { reason: reason.into(), action: action.into() }
}

fn outbox_error(error: RoomsError) -> OutboxError {
    match error {
        RoomsError::Fault(fault) => fault.into(),
        RoomsError::Refused { reason, action } => OutboxError::Refused { reason, action },
    }
}
