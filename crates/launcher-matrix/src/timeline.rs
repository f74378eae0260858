//! Turns events of a room's timeline into messages.

mod attached;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use launcher_core::{
    conversation::{Media, Message, MessageKind},
    names::{EventId, RoomId, UserId},
    trust::Assurance,
};
use serde_json::Value;

use crate::content::{AUTOMATED, MESSAGE, REACTION, REDACTION};

/// Mentions that are kept of one message.
const MENTIONS: usize = 50;

/// The longest id and the longest reaction that are read, in bytes. The former
/// is a limit of the specification.
const LONGEST_ID: usize = 255;

/// What an event says, without who said it to whom.
struct Said {
    kind: MessageKind,
    body: String,
    /// The content with the marks of what is said; for an edit, of both versions.
    automated: bool,
    target: Option<EventId>,
    mentions: Vec<UserId>,
    media: Option<Media>,
}

/// The message in an event, if it is one, as if it had been sent in the clear
/// in a room of many. Redacted messages are none.
pub(crate) fn message(room: &str, event: &Value) -> Option<Message> {
    if !event["state_key"].is_null() {
        return None;
    }
    let content = &event["content"];
    let relation = &content["m.relates_to"];
    let said = match event["type"].as_str()? {
        MESSAGE if relation["rel_type"] == "m.replace" => edited(content, relation)?,
        MESSAGE => said(content)?,
        REACTION => reaction(content, relation)?,
        REDACTION => redaction(event)?,
        _ => return None,
    };
    let in_thread = relation["rel_type"] == "m.thread";
    // In a thread, clients that know none see a reply to the latest message.
    let fallback = in_thread && relation["is_falling_back"] == true;
    let in_reply_to = Some(&relation["m.in_reply_to"]["event_id"]).filter(|_| !fallback);
    Some(Message {
        room: RoomId::new(room),
        event: event_id(&event["event_id"])?,
        sender: UserId::new(event["sender"].as_str()?),
        kind: said.kind,
        body: said.body,
        parts: Vec::new(),
        age: age(event),
        automated: said.automated,
        thread: Some(&relation["event_id"]).filter(|_| in_thread).and_then(event_id),
        in_reply_to: in_reply_to.and_then(event_id),
        target: said.target,
        mentions: said.mentions,
        direct: false,
        media: said.media,
        assurance: Assurance::InTheClear,
    })
}

/// The same for a message that was encrypted. Nobody takes back anything in
/// secret; and a file that is not encrypted with its message is anybody's.
pub(crate) fn of_encrypted(mut message: Message) -> Option<Message> {
    if let Some(media) = &mut message.media {
        attached::refuse_clear(media);
    }
    (message.kind != MessageKind::Redaction).then_some(message)
}

/// What somebody says for the first time.
fn said(content: &Value) -> Option<Said> {
    let body = content["body"].as_str()?;
    let msgtype = content["msgtype"].as_str()?;
    let media = attached::media(msgtype, content);
    let kind = match msgtype {
        "m.text" => MessageKind::Text,
        "m.notice" => MessageKind::Notice,
        _ if media.is_some() => MessageKind::Media,
        _ => MessageKind::Other,
    };
    let body = if media.is_some() { attached::caption(content) } else { body };
    Some(Said {
        kind,
        body: body.to_owned(),
        automated: is_automated(content),
        target: None,
        mentions: mentions(content),
        media,
    })
}

/// A later version of a message (spec, "Event replacements"). What it says is
/// only in its new content; the rest is for those who know no edits.
fn edited(content: &Value, relation: &Value) -> Option<Said> {
    let new = &content["m.new_content"];
    let is_notice = new["msgtype"] == "m.notice";
    Some(Said {
        kind: MessageKind::Edit,
        body: new["body"].as_str()?.to_owned(),
        automated: is_notice || is_automated(content) || is_automated(new),
        target: Some(event_id(&relation["event_id"])?),
        mentions: mentions(new),
        media: None,
    })
}

/// A reaction (spec, "Event annotations and reactions").
fn reaction(content: &Value, relation: &Value) -> Option<Said> {
    if relation["rel_type"] != "m.annotation" {
        return None;
    }
    let key = relation["key"].as_str().filter(|key| key.len() <= LONGEST_ID)?;
    Some(Said {
        kind: MessageKind::Reaction,
        body: key.to_owned(),
        automated: is_automated(content),
        target: Some(event_id(&relation["event_id"])?),
        mentions: Vec::new(),
        media: None,
    })
}

/// A redaction; from version 11 of rooms on, what it is about is in its content.
fn redaction(event: &Value) -> Option<Said> {
    let target = event_id(&event["content"]["redacts"]).or_else(|| event_id(&event["redacts"]))?;
    Some(Said {
        kind: MessageKind::Redaction,
        body: String::new(),
        automated: is_automated(&event["content"]),
        target: Some(target),
        mentions: Vec::new(),
        media: None,
    })
}

fn event_id(value: &Value) -> Option<EventId> {
    let id = value.as_str()?;
    (id.starts_with('$') && id.len() <= LONGEST_ID).then(|| EventId::new(id))
}

fn is_automated(content: &Value) -> bool {
    AUTOMATED.iter().any(|mark| content[mark] == true)
}

/// Whom a message mentions by its own word.
fn mentions(content: &Value) -> Vec<UserId> {
    let users = content["m.mentions"]["user_ids"].as_array().into_iter().flatten();
    let users = users.filter_map(Value::as_str);
    let users = users.filter(|user| user.starts_with('@') && user.len() <= LONGEST_ID);
    users.take(MENTIONS).map(UserId::new).collect()
}

/// How long ago the server got an event.
///
/// The server's own reckoning goes first: it does not depend on this machine's
/// clock. Without it (it is missing in some answers) the clocks are compared,
/// and an event from the future is new.
pub(crate) fn age(event: &Value) -> Duration {
    let reckoned = event["unsigned"]["age"].as_i64();
    if let Some(age) = reckoned {
        return Duration::from_millis(u64::try_from(age).unwrap_or(0));
    }
    let sent = Duration::from_millis(event["origin_server_ts"].as_u64().unwrap_or(0));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(sent)
}

/// Whether the event is `user` joining the room.
///
/// What stands before the latest one is history: it can be in the same answer,
/// and even be readable, where the inviter shared the room's keys (MSC4268).
pub(crate) fn is_join(event: &Value, user: &str) -> bool {
    event["type"] == "m.room.member"
        && event["state_key"] == user
        && event["content"]["membership"] == "join"
        && event["unsigned"]["prev_content"]["membership"] != "join"
}

#[cfg(test)]
mod tests;
