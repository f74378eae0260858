//! Answers, and what else an agent does in a room.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use launcher_core::names::{EventId, RoomId as Room};
use launcher_runtime::ports::{Answer, AnswerContent, SendFault, outbox::Attachment};
use matrix_sdk::{deserialized_responses::TimelineEventKind, ruma::RoomId};
use serde_json::Value;
use tokio::time::Instant;
use tracing::debug;

use super::{MatrixSession, sending::passing};
use crate::{
    content::{self, FileAt},
    decrypting, feed,
};

/// Pages of a hundred events that are searched for an answer at most.
const PAGES_BACK: usize = 10;

/// The longest reaction in bytes. It is sent in the clear: a sign, and no message.
const LONGEST_REACTION: usize = 64;

/// How long the room is told that the agent types. It is told again before.
const TYPING: Duration = Duration::from_secs(30);

/// Files that were uploaded and wait for their message, at most.
const UPLOADS: usize = 16;

/// Files that were uploaded for a message that is not sent yet, by its transaction.
#[derive(Debug, Default)]
pub(super) struct Uploads(Mutex<BTreeMap<String, FileAt>>);

impl Uploads {
    fn of(&self, transaction: &str) -> Option<FileAt> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(transaction).cloned()
    }

    fn keep(&self, transaction: &str, file: FileAt) {
        let mut uploads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if uploads.len() >= UPLOADS {
            uploads.pop_first();
        }
        uploads.insert(transaction.to_owned(), file);
    }

    fn forget(&self, transaction: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(transaction);
    }
}

impl MatrixSession {
    /// Sends an answer, unless a former device has sent it.
    pub(super) async fn send_answer(&self, answer: &Answer) -> Result<EventId, SendFault> {
        match &answer.content {
            AnswerContent::Redaction { event } => self.redact(answer, event).await,
            AnswerContent::Reaction { event, key } => self.react(answer, event, key).await,
            // The same twice is the same.
            AnswerContent::Edit { event, .. } => {
                self.send_content(answer, content::edit(answer, event)).await
            }
            AnswerContent::Text(_) => match self.said_before(answer).await? {
                Some(event) => Ok(event),
                None => self.send_content(answer, content::answer(answer, None)).await,
            },
            AnswerContent::File(file) => match self.said_before(answer).await? {
                Some(event) => Ok(event),
                None => self.send_file(answer, file).await,
            },
        }
    }

    async fn send_content(&self, answer: &Answer, content: Value) -> Result<EventId, SendFault> {
        self.send_event(&answer.room, content::MESSAGE, content, &answer.transaction).await
    }

    /// Sends a file. One that was uploaded is not uploaded again if its message
    /// could not be sent.
    async fn send_file(&self, answer: &Answer, file: &Attachment) -> Result<EventId, SendFault> {
        let mut at = self.uploads.of(&answer.transaction);
        self.put_file(&answer.room, &file.content_type, &file.bytes, &mut at).await?;
        if let Some(at) = &at {
            self.uploads.keep(&answer.transaction, at.clone());
        }
        let sent = self.send_content(answer, content::answer(answer, at.as_ref())).await;
        if !matches!(sent, Err(SendFault::Passing { .. })) {
            self.uploads.forget(&answer.transaction);
        }
        sent
    }

    /// Reacts, unless the agent has reacted in this way already: servers keep only
    /// one of each.
    async fn react(
        &self,
        answer: &Answer,
        event: &EventId,
        key: &str,
    ) -> Result<EventId, SendFault> {
        if key.is_empty() || key.len() > LONGEST_REACTION {
            let detail = format!("a reaction has 1 to {LONGEST_REACTION} bytes");
            return Err(SendFault::Refused { detail });
        }
        let (room, content) = (&answer.room, content::reaction(event, key));
        let sent = self.send_event(room, content::REACTION, content, &answer.transaction).await;
        let Err(SendFault::Refused { detail }) = sent else { return sent };
        let found = self.parts.rest.reactions(&self.token(), room.as_str(), event.as_str()).await;
        let own = self.parts.spec.account.user_id.as_str();
        let is_it = |reaction: &&Value| {
            reaction["sender"] == own && reaction["content"]["m.relates_to"]["key"] == key
        };
        let found = found.unwrap_or_default();
        match found.iter().find(is_it).and_then(feed::event_id) {
            Some(before) => Ok(EventId::new(before)),
            None => Err(SendFault::Refused { detail }),
        }
    }

    /// Takes back a message.
    async fn redact(&self, answer: &Answer, event: &EventId) -> Result<EventId, SendFault> {
        let room = answer.room.as_str();
        let _turn = self.turns.take(room).await;
        let (token, started) = (self.token(), Instant::now());
        let redacted =
            self.parts.rest.redact(&token, room, event.as_str(), &answer.transaction).await;
        let by = redacted.map_err(|error| self.rest_send_fault(error))?;
        self.parts.report.count_sent(started.elapsed());
        Ok(EventId::new(by))
    }

    /// Shows a room whether the agent is at work. What fails is shown next time.
    pub(super) async fn show_typing(&self, room: &Room, is_at_work: bool) {
        let user = &self.parts.spec.account.user_id;
        let lasts = is_at_work.then_some(TYPING);
        if let Err(error) =
            self.parts.rest.set_typing(&self.token(), room.as_str(), user, lasts).await
        {
            debug!(%room, %error, "the room could not be told that the agent is at work");
        }
    }

    /// An answer that a former device of the agent has sent: the server knows
    /// transaction ids by device.
    ///
    /// Looks back to the question, a thousand events at most. Each message says
    /// inside which one it is. Where that cannot be read any more, everybody can
    /// see what an event replies to, and parts are sent in their order.
    async fn said_before(&self, answer: &Answer) -> Result<Option<EventId>, SendFault> {
        let Some(until) = self.parts.answered_until else { return Ok(None) };
        let question = answer.reply.as_ref().map(|reply| reply.event.as_str());
        let mut unknown = Vec::new();
        for event in self.own_before(&answer.room, question, until).await? {
            match self.transaction_of(&answer.room, &event).await? {
                Some(transaction) if transaction == answer.transaction => {
                    return Ok(feed::event_id(&event).map(EventId::new));
                }
                Some(_) => {}
                None => unknown.push(event),
            }
        }
        if question.is_none() {
            return Ok(None);
        }
        let part = answer.transaction.split('-').nth(1).and_then(|part| part.parse().ok());
        let found = unknown.get(part.unwrap_or(0)).and_then(feed::event_id);
        Ok(found.map(EventId::new))
    }

    /// What a former device sent, oldest first: replies to the question, or all
    /// messages if there is none.
    async fn own_before(
        &self,
        room: &Room,
        question: Option<&str>,
        until: u64,
    ) -> Result<Vec<Value>, SendFault> {
        let (rest, token) = (&self.parts.rest, self.token());
        let own = self.parts.spec.account.user_id.as_str();
        let is_it = |event: &Value| {
            let relation = &event["content"]["m.relates_to"];
            let is_reply = question.is_none_or(|id| relation["m.in_reply_to"]["event_id"] == id);
            // What came later is this device's own: a notice, or an earlier part.
            event["sender"] == own
                && event["origin_server_ts"].as_u64().is_some_and(|sent| sent < until)
                && (event["type"] == content::MESSAGE || feed::is_encrypted(event))
                && relation["rel_type"] != "m.replace"
                && is_reply
        };
        let mut found = Vec::new();
        let mut from = None;
        for _ in 0..PAGES_BACK {
            let page = rest.messages(&token, room.as_str(), from.as_deref(), None).await;
            let page = page.map_err(|error| SendFault::Passing {
                detail: error.to_string(),
                retry_after: None,
            })?;
            let is_complete = question.is_some_and(|id| {
                page.events.iter().any(|event| feed::event_id(event) == Some(id))
            });
            found.extend(page.events.into_iter().filter(is_it));
            from = page.next;
            if is_complete || from.is_none() {
                break;
            }
        }
        found.reverse();
        Ok(found)
    }

    /// The transaction of a message, if it says so and can be read.
    async fn transaction_of(
        &self,
        room: &Room,
        event: &Value,
    ) -> Result<Option<String>, SendFault> {
        let of =
            |event: &Value| event["content"][content::TRANSACTION].as_str().map(ToOwned::to_owned);
        if !feed::is_encrypted(event) {
            return Ok(of(event));
        }
        let live = self.live().await.map_err(passing)?;
        let id = RoomId::parse(room.as_str()).ok();
        let Some(room) = id.and_then(|id| live.client.get_room(&id)) else { return Ok(None) };
        match decrypting::open(&room, event).await {
            Ok(opened) if matches!(opened.kind, TimelineEventKind::Decrypted(_)) => {
                let json = serde_json::from_str(opened.raw().json().get()).unwrap_or_default();
                Ok(of(&json))
            }
            _ => Ok(None),
        }
    }
}
