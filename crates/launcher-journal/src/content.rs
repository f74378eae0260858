//! What is sealed, as it looks before.

use std::{borrow::Cow, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use launcher_core::{
    conversation::{Media, MediaKind, Message, MessageKind, Part},
    names::{EventId, RoomId, UserId},
    secret::Secret,
    trust::Assurance,
};
use launcher_runtime::ports::{Answer, AnswerContent as What, Reply, outbox::Attachment};
use serde::{Deserialize, Serialize};

/// Everything of a [`Message`] that has no column of its own.
#[derive(Serialize, Deserialize)]
pub(crate) struct MessageContent<'a> {
    kind: MessageKind,
    body: Cow<'a, str>,
    age: Duration,
    automated: bool,
    thread: Option<Cow<'a, str>>,
    in_reply_to: Option<Cow<'a, str>>,
    // Rows of earlier versions have none of these.
    #[serde(default)]
    assurance: Cow<'a, str>,
    #[serde(default)]
    target: Option<Cow<'a, str>>,
    #[serde(default)]
    mentions: Vec<UserId>,
    #[serde(default)]
    direct: bool,
    #[serde(default)]
    media: Option<MediaContent<'a>>,
    /// Each with its event and what it says.
    #[serde(default)]
    parts: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

#[derive(Serialize, Deserialize)]
struct MediaContent<'a> {
    kind: MediaKind,
    name: Cow<'a, str>,
    content_type: Cow<'a, str>,
    size: Option<u64>,
    source: Cow<'a, str>,
}

/// Everything of an [`Answer`] but its transaction id.
#[derive(Serialize, Deserialize)]
pub(crate) struct AnswerContent<'a> {
    room: Cow<'a, str>,
    /// What a text or an edit says, the key of a reaction.
    text: Cow<'a, str>,
    in_reply_to: Option<Cow<'a, str>>,
    asker: Option<Cow<'a, str>>,
    thread: Option<Cow<'a, str>>,
    // Rows of earlier versions have none of these.
    #[serde(default)]
    kind: AnswerKind,
    #[serde(default)]
    target: Option<Cow<'a, str>>,
    #[serde(default)]
    file: Option<FileContent<'a>>,
}

#[derive(Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AnswerKind {
    #[default]
    Text,
    Edit,
    Reaction,
    Redaction,
    File,
}

#[derive(Serialize, Deserialize)]
struct FileContent<'a> {
    name: Cow<'a, str>,
    content_type: Cow<'a, str>,
    /// In base 64.
    bytes: String,
    caption: Option<Cow<'a, str>>,
    voice: bool,
}

impl<'a> MessageContent<'a> {
    pub(crate) fn of(message: &'a Message) -> Self {
        Self {
            kind: message.kind,
            body: message.body.as_str().into(),
            age: message.age,
            automated: message.automated,
            thread: message.thread.as_ref().map(text),
            in_reply_to: message.in_reply_to.as_ref().map(text),
            assurance: message.assurance.code().into(),
            target: message.target.as_ref().map(text),
            mentions: message.mentions.clone(),
            direct: message.direct,
            media: message.media.as_ref().map(MediaContent::of),
            parts: message
                .parts
                .iter()
                .map(|part| (text(&part.event), part.body.as_str().into()))
                .collect(),
        }
    }

    pub(crate) fn message(self, room: RoomId, event: EventId, sender: UserId) -> Message {
        let part = |(event, body): (Cow<'_, str>, Cow<'_, str>)| Part {
            event: EventId::new(event),
            body: body.into_owned(),
        };
        Message {
            room,
            event,
            sender,
            kind: self.kind,
            body: self.body.into_owned(),
            parts: self.parts.into_iter().map(part).collect(),
            age: self.age,
            automated: self.automated,
            thread: self.thread.map(EventId::new),
            in_reply_to: self.in_reply_to.map(EventId::new),
            assurance: Assurance::from_code(&self.assurance),
            target: self.target.map(EventId::new),
            mentions: self.mentions,
            direct: self.direct,
            media: self.media.map(MediaContent::media),
        }
    }
}

impl<'a> MediaContent<'a> {
    fn of(media: &'a Media) -> Self {
        Self {
            kind: media.kind,
            name: media.name.as_str().into(),
            content_type: media.content_type.as_str().into(),
            size: media.size,
            source: media.source.expose().as_str().into(),
        }
    }

    fn media(self) -> Media {
        Media {
            kind: self.kind,
            name: self.name.into_owned(),
            content_type: self.content_type.into_owned(),
            size: self.size,
            source: Secret::new(self.source.into_owned()),
        }
    }
}

impl<'a> AnswerContent<'a> {
    pub(crate) fn of(answer: &'a Answer) -> Self {
        let (kind, said, target, file) = match &answer.content {
            What::Text(text) => (AnswerKind::Text, text.as_str(), None, None),
            What::Edit { event, text } => (AnswerKind::Edit, text.as_str(), Some(event), None),
            What::Reaction { event, key } => {
                (AnswerKind::Reaction, key.as_str(), Some(event), None)
            }
            What::Redaction { event } => (AnswerKind::Redaction, "", Some(event), None),
            What::File(file) => (AnswerKind::File, "", None, Some(FileContent::of(file))),
        };
        Self {
            room: answer.room.as_str().into(),
            text: said.into(),
            in_reply_to: answer.reply.as_ref().map(|reply| text(&reply.event)),
            asker: answer.reply.as_ref().map(|reply| reply.asker.as_str().into()),
            thread: answer.thread.as_ref().map(text),
            kind,
            target: target.map(text),
            file,
        }
    }

    /// `None` if it is damaged.
    pub(crate) fn answer(self, transaction: String) -> Option<Answer> {
        let target = self.target.map(EventId::new);
        let said = self.text.into_owned();
        let content = match self.kind {
            AnswerKind::Text => What::Text(said),
            AnswerKind::Edit => What::Edit { event: target?, text: said },
            AnswerKind::Reaction => What::Reaction { event: target?, key: said },
            AnswerKind::Redaction => What::Redaction { event: target? },
            AnswerKind::File => What::File(self.file?.attachment()?),
        };
        let reply = self.in_reply_to.zip(self.asker);
        Some(Answer {
            room: RoomId::new(self.room),
            content,
            reply: reply.map(|(event, asker)| Reply {
                event: EventId::new(event),
                asker: UserId::new(asker),
            }),
            thread: self.thread.map(EventId::new),
            transaction,
        })
    }
}

impl<'a> FileContent<'a> {
    fn of(file: &'a Attachment) -> Self {
        Self {
            name: file.name.as_str().into(),
            content_type: file.content_type.as_str().into(),
            bytes: STANDARD.encode(&file.bytes),
            caption: file.caption.as_deref().map(Into::into),
            voice: file.voice,
        }
    }

    fn attachment(self) -> Option<Attachment> {
        Some(Attachment {
            name: self.name.into_owned(),
            content_type: self.content_type.into_owned(),
            bytes: STANDARD.decode(self.bytes).ok()?,
            caption: self.caption.map(Cow::into_owned),
            voice: self.voice,
        })
    }
}

fn text(event: &EventId) -> Cow<'_, str> {
    event.as_str().into()
}
