//! Answers and notices, as what is sent.

use launcher_core::names::EventId;
use launcher_runtime::ports::{Answer, AnswerContent, Notice, NoticeKind, SendFault};

use super::{MessagerSession, plain::cut, sending::Words};
use crate::{
    crypto::{Action, Body, MAX_BODY},
    faults::{passing, refused},
    names,
};

/// Parts of a text that each fit into a row.
pub(super) fn parts(text: &str) -> Vec<String> {
    match text.len() <= MAX_BODY {
        true => vec![text.to_owned()],
        false => cut(text, MAX_BODY),
    }
}

impl MessagerSession {
    pub(super) async fn send_answer(&self, answer: &Answer) -> Result<EventId, SendFault> {
        let row = |event: &EventId| {
            names::row_of(event).ok_or_else(|| refused(format!("{event} is no message here")))
        };
        let (action, body) = match &answer.content {
            AnswerContent::Text(text) => {
                let mentions =
                    answer.reply.as_ref().and_then(|reply| names::account_of(&reply.asker));
                let reply_to = answer.reply.as_ref().and_then(|reply| names::row_of(&reply.event));
                let body = Body {
                    reply_to,
                    thread: answer.thread.as_ref().and_then(names::row_of),
                    mentions: mentions.into_iter().collect(),
                    ..by_itself(text)
                };
                (Action::New, body)
            }
            AnswerContent::Edit { event, text } => {
                (Action::Edit { target: row(event)? }, by_itself(text))
            }
            AnswerContent::Redaction { event } => {
                (Action::Delete { target: row(event)? }, Body::default())
            }
            AnswerContent::Reaction { .. } => {
                return Err(refused("reactions would be readable by the server"));
            }
            AnswerContent::File(_) => {
                return Err(refused("there are no files on this network"));
            }
        };
        let transaction = answer.transaction.clone();
        self.say(&answer.room, Words { action, body, transaction }).await
    }

    pub(super) async fn send_note(&self, notice: &Notice) -> Result<EventId, SendFault> {
        let body = match &notice.kind {
            NoticeKind::MissingKey { text, .. } => Body {
                reply_to: names::row_of(&notice.about),
                mentions: names::account_of(&notice.sender).into_iter().collect(),
                ..by_itself(text)
            },
            NoticeKind::Greeting { text } => by_itself(text.expose()),
            // Who is not trusted gets no keys, and everything else is read by the server.
            NoticeKind::NotTrusted { .. } => {
                return Err(refused("whoever is not trusted cannot be told without the server"));
            }
        };
        if let Some(event) = self.said_already(notice).await.map_err(|fault| passing(&fault))? {
            return Ok(event);
        }
        let words = Words { action: Action::New, body, transaction: notice.transaction.clone() };
        let event = self.say(&notice.room, words).await?;
        if matches!(notice.kind, NoticeKind::Greeting { .. }) {
            self.greeted(notice, &event).await.map_err(|fault| passing(&fault))?;
        }
        Ok(event)
    }
}

/// What an agent says is marked, so that no agent answers it.
fn by_itself(text: &str) -> Body {
    Body { automated: true, ..Body::text(text) }
}
