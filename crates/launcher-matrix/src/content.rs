//! What a message looks like on the wire, before it is encrypted.

use std::fmt;

use launcher_core::names::EventId;
use launcher_runtime::ports::{
    Answer, AnswerContent, Notice, NoticeKind,
    outbox::{Attachment, Outgoing, OutgoingContent},
};
use serde_json::{Value, json};

use crate::markdown;

/// Marks a message that no person wrote (MSC3955). The stable name is not
/// decided yet, so both are read and the unstable one is written.
pub(crate) const AUTOMATED: [&str; 2] = ["org.matrix.msc1767.automated", "m.automated"];

/// The type of a message.
pub(crate) const MESSAGE: &str = "m.room.message";

/// The type of a reaction.
pub(crate) const REACTION: &str = "m.reaction";

/// The type of an event that takes back another one.
pub(crate) const REDACTION: &str = "m.room.redaction";

/// Marks a sound that was spoken for its message (MSC3245), read and written as
/// [`AUTOMATED`] is.
pub(crate) const VOICE: [&str; 2] = ["org.matrix.msc3245.voice", "m.voice"];

/// The content of an `m.room.message` event with a text or, if `file` says where
/// it is, a file.
///
/// A rich reply without the old quoted fallback (removed in spec 1.13), which
/// mentions the asker (spec 11.37) and stays in the asker's thread (11.36).
pub(crate) fn answer(answer: &Answer, file: Option<&FileAt>) -> Value {
    let mut content = match &answer.content {
        AnswerContent::File(attachment) => attached(attachment, file),
        other => text(other.text()),
    };
    content["m.mentions"] = asker(answer);
    content[AUTOMATED[0]] = json!(true);
    content[TRANSACTION] = json!(answer.transaction);
    let reply = answer.reply.as_ref().map(|reply| json!({ "event_id": reply.event.as_str() }));
    let relation = match (&answer.thread, reply) {
        (Some(root), Some(reply)) => Some(json!({
            "rel_type": "m.thread",
            "event_id": root.as_str(),
            "is_falling_back": false,
            "m.in_reply_to": reply,
        })),
        (Some(root), None) => Some(in_thread(root)),
        (None, reply) => reply.map(|reply| json!({ "m.in_reply_to": reply })),
    };
    if let Some(relation) = relation {
        content["m.relates_to"] = relation;
    }
    content
}

/// Letters of a text that clients without edits are shown.
const SHOWN_TO_OLD: usize = 100;

/// The content of an event that gives an earlier message of the agent another
/// text (spec, "Event replacements"). `first` is the message itself, however often
/// it was changed before. Reply and thread stay what they are; nobody is mentioned
/// anew, or each change would ring.
pub(crate) fn edit(answer: &Answer, first: &EventId) -> Value {
    let markdown = answer.content.text();
    let shown: String = markdown.chars().take(SHOWN_TO_OLD).collect();
    let mut new = text(markdown);
    new["m.mentions"] = asker(answer);
    new[AUTOMATED[0]] = json!(true);
    json!({
        "msgtype": "m.text",
        "body": format!("* {shown}"),
        "m.mentions": {},
        "m.new_content": new,
        "m.relates_to": { "rel_type": "m.replace", "event_id": first.as_str() },
        AUTOMATED[0]: true,
        TRANSACTION: answer.transaction,
    })
}

/// The content of a reaction.
pub(crate) fn reaction(event: &EventId, key: &str) -> Value {
    let relation = json!({ "rel_type": "m.annotation", "event_id": event.as_str(), "key": key });
    json!({ "m.relates_to": relation, AUTOMATED[0]: true })
}

fn asker(answer: &Answer) -> Value {
    match &answer.reply {
        Some(reply) => json!({ "user_ids": [reply.asker.as_str()] }),
        None => json!({}),
    }
}

fn text(markdown: &str) -> Value {
    let mut content = json!({ "msgtype": "m.text" });
    say(&mut content, markdown);
    content
}

/// Bytes that the text of a message may take, with its HTML. An event has 65,536
/// (spec, "Size limits"); encryption takes a third more than what is in it, and
/// there are relations and keys beside the text.
const LONGEST_TEXT: usize = 40_000;

/// Cuts a text into parts that each fit into an event, also as an edit.
pub(crate) fn parts(markdown: &str) -> Vec<String> {
    let fits = |part: &str| text(part).to_string().len() <= LONGEST_TEXT;
    markdown::split(markdown, LONGEST_TEXT, fits)
}

/// The type and the content of a notice.
///
/// About a message that is not answered it is a reply, which no bot answers; or
/// a reaction, which no client encrypts and everybody can see. A greeting is a
/// message of its own.
pub(crate) fn notice(notice: &Notice) -> (&'static str, Value) {
    match &notice.kind {
        NoticeKind::MissingKey { text, .. } => {
            let content = json!({
                "msgtype": "m.notice",
                "body": text,
                "m.mentions": { "user_ids": [notice.sender.as_str()] },
                "m.relates_to": { "m.in_reply_to": { "event_id": notice.about.as_str() } },
                AUTOMATED[0]: true,
            });
            (MESSAGE, content)
        }
        NoticeKind::NotTrusted { hint } => (REACTION, reaction(&notice.about, hint)),
        NoticeKind::Greeting { text } => {
            let content = json!({
                "msgtype": "m.text",
                "body": text.expose(),
                "m.mentions": {},
                AUTOMATED[0]: true,
            });
            (MESSAGE, content)
        }
    }
}

/// Carries the transaction of a message that an operator had sent, inside what
/// is encrypted: another device of the agent finds it by that.
pub(crate) const TRANSACTION: &str = "launcher.transaction";

/// The content of an `m.room.message` event that an operator has the agent send.
///
/// `file` is where an attachment is (spec 11.2.1.6), for a message that is one.
/// Nobody is mentioned: without `m.mentions` clients would look for names in the
/// text (spec 11.37).
pub(crate) fn outgoing(message: &Outgoing, transaction: &str, file: Option<&FileAt>) -> Value {
    let mut content = match &message.content {
        OutgoingContent::Text(text) => {
            let msgtype = if message.notice { "m.notice" } else { "m.text" };
            let mut content = json!({ "msgtype": msgtype });
            say(&mut content, text);
            content
        }
        OutgoingContent::File(attachment) => attached(attachment, file),
    };
    if let Some(root) = &message.thread {
        content["m.relates_to"] = in_thread(root);
    }
    content["m.mentions"] = json!({});
    content[AUTOMATED[0]] = json!(true);
    content[TRANSACTION] = json!(transaction);
    content
}

/// Where the content of a file is.
#[derive(Clone)]
pub(crate) enum FileAt {
    /// On the server, as it is.
    Plain(String),
    /// On the server, encrypted: an `EncryptedFile`.
    Encrypted(Value),
}

impl fmt::Debug for FileAt {
    /// Leaves out the key.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.is_encrypted() { "Encrypted" } else { "Plain" })
    }
}

impl FileAt {
    /// Whether the server cannot read it.
    pub(crate) fn is_encrypted(&self) -> bool {
        matches!(self, Self::Encrypted(_))
    }
}

fn say(content: &mut Value, markdown: &str) {
    content["body"] = json!(markdown);
    if let Some(html) = markdown::html(markdown) {
        content["format"] = json!("org.matrix.custom.html");
        content["formatted_body"] = json!(html);
    }
}

fn attached(attachment: &Attachment, file: Option<&FileAt>) -> Value {
    let msgtype = match attachment.content_type.split('/').next() {
        Some("image") => "m.image",
        Some("video") => "m.video",
        Some("audio") => "m.audio",
        _ => "m.file",
    };
    let mut content = json!({
        "msgtype": msgtype,
        "body": attachment.name,
        "filename": attachment.name,
        "info": { "mimetype": attachment.content_type, "size": attachment.bytes.len() },
    });
    if let Some(caption) = &attachment.caption {
        say(&mut content, caption);
    }
    if attachment.voice && msgtype == "m.audio" {
        content[VOICE[0]] = json!({});
    }
    match file {
        Some(FileAt::Plain(url)) => content["url"] = json!(url),
        Some(FileAt::Encrypted(file)) => content["file"] = file.clone(),
        None => {}
    }
    content
}

/// The relation of a message that is in a thread and answers nobody in it. For
/// clients without threads it is a reply to the root (spec 11.36.2).
fn in_thread(root: &EventId) -> Value {
    json!({
        "rel_type": "m.thread",
        "event_id": root.as_str(),
        "is_falling_back": true,
        "m.in_reply_to": { "event_id": root.as_str() },
    })
}

#[cfg(test)]
mod tests;
