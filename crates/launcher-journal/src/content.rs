//! What is sealed, as it looks before.

use std::{borrow::Cow, time::Duration};

use launcher_core::{
    conversation::{Message, MessageKind},
    names::{EventId, RoomId, UserId},
    trust::Assurance,
};
use launcher_runtime::ports::Answer;
use serde::{Deserialize, Serialize};

/// Everything of a [`Message`] that has no column of its own.
#[derive(Serialize, Deserialize)]
pub(crate) struct MessageContent<'a> {
    kind: Kind,
    body: Cow<'a, str>,
    age: Duration,
    automated: bool,
    thread: Option<Cow<'a, str>>,
    in_reply_to: Option<Cow<'a, str>>,
    /// Rows of earlier versions have none.
    #[serde(default)]
    assurance: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Text,
    Notice,
    Edit,
    Other,
}

/// Everything of an [`Answer`] but its transaction id.
#[derive(Serialize, Deserialize)]
pub(crate) struct AnswerContent<'a> {
    room: Cow<'a, str>,
    text: Cow<'a, str>,
    in_reply_to: Cow<'a, str>,
    asker: Cow<'a, str>,
    thread: Option<Cow<'a, str>>,
}

impl<'a> MessageContent<'a> {
    pub(crate) fn of(message: &'a Message) -> Self {
        Self {
            kind: match message.kind {
                MessageKind::Text => Kind::Text,
                MessageKind::Notice => Kind::Notice,
                MessageKind::Edit => Kind::Edit,
                MessageKind::Other => Kind::Other,
            },
            body: message.body.as_str().into(),
            age: message.age,
            automated: message.automated,
            thread: message.thread.as_ref().map(text),
            in_reply_to: message.in_reply_to.as_ref().map(text),
            assurance: message.assurance.code().into(),
        }
    }

    pub(crate) fn message(self, room: RoomId, event: EventId, sender: UserId) -> Message {
        Message {
            room,
            event,
            sender,
            kind: match self.kind {
                Kind::Text => MessageKind::Text,
                Kind::Notice => MessageKind::Notice,
                Kind::Edit => MessageKind::Edit,
                Kind::Other => MessageKind::Other,
            },
            body: self.body.into_owned(),
            age: self.age,
            automated: self.automated,
            thread: self.thread.map(EventId::new),
            in_reply_to: self.in_reply_to.map(EventId::new),
            assurance: Assurance::from_code(&self.assurance),
        }
    }
}

impl<'a> AnswerContent<'a> {
    pub(crate) fn of(answer: &'a Answer) -> Self {
        Self {
            room: answer.room.as_str().into(),
            text: answer.text.as_str().into(),
            in_reply_to: text(&answer.in_reply_to),
            asker: answer.asker.as_str().into(),
            thread: answer.thread.as_ref().map(text),
        }
    }

    pub(crate) fn answer(self, transaction: String) -> Answer {
        Answer {
            room: RoomId::new(self.room),
            text: self.text.into_owned(),
            in_reply_to: EventId::new(self.in_reply_to),
            asker: UserId::new(self.asker),
            thread: self.thread.map(EventId::new),
            transaction,
        }
    }
}

fn text(event: &EventId) -> Cow<'_, str> {
    event.as_str().into()
}
