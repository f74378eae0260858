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
mod tests {
    use serde_json::json;

    use super::*;

    fn event(content: Value) -> Value {
        json!({
            "type": "m.room.message", "event_id": "$e", "sender": "@a:hs",
            "content": content, "unsigned": { "age": 1500 }, "origin_server_ts": 1,
        })
    }

    #[test]
    fn a_text_message_is_read_with_its_age_from_the_server() {
        let found = message("!r:hs", &event(json!({ "msgtype": "m.text", "body": "hi" }))).unwrap();
        assert_eq!((found.kind, found.body.as_str()), (MessageKind::Text, "hi"));
        assert_eq!(found.age, Duration::from_millis(1500));
        assert!(!found.automated && found.thread.is_none() && found.in_reply_to.is_none());
    }

    #[test]
    fn an_edit_says_what_is_new_about_which_message() {
        let mut edit = json!({
            "msgtype": "m.text", "body": "* hi", "m.mentions": {},
            "m.new_content": {
                "msgtype": "m.text", "body": "hi", "m.mentions": { "user_ids": ["@b:hs"] },
            },
            "m.relates_to": { "rel_type": "m.replace", "event_id": "$old" },
        });
        let found = message("!r", &event(edit.clone())).unwrap();
        assert_eq!((found.kind, found.body.as_str()), (MessageKind::Edit, "hi"));
        assert_eq!(found.target, Some(EventId::new("$old")));
        assert_eq!(found.mentions, [UserId::new("@b:hs")]);
        assert!(!found.automated && found.thread.is_none());
        edit["m.new_content"]["msgtype"] = json!("m.notice");
        assert!(message("!r", &event(edit.clone())).unwrap().automated);
        edit["m.new_content"] = json!(null);
        assert!(message("!r", &event(edit)).is_none());
    }

    #[test]
    fn a_reaction_and_a_redaction_say_what_they_are_about() {
        let of = |kind: &str, content: Value, redacts: Value| {
            let mut event = event(content);
            event["type"] = json!(kind);
            event["redacts"] = redacts;
            message("!r", &event)
        };
        let relation = |kind: &str, key: Value| json!({ "m.relates_to": { "rel_type": kind, "event_id": "$e", "key": key } });
        let found = of("m.reaction", relation("m.annotation", json!("👍")), json!(null)).unwrap();
        assert_eq!((found.kind, found.body.as_str()), (MessageKind::Reaction, "👍"));
        assert_eq!(found.target, Some(EventId::new("$e")));
        let long = json!("x".repeat(256));
        for odd in [relation("m.thread", json!("x")), relation("m.annotation", long), json!({})] {
            assert!(of("m.reaction", odd, json!(null)).is_none());
        }
        for (content, redacts) in
            [(json!({ "redacts": "$e" }), json!(null)), (json!({}), json!("$e"))]
        {
            let found = of("m.room.redaction", content, redacts).unwrap();
            assert_eq!(
                (found.kind, found.target),
                (MessageKind::Redaction, Some(EventId::new("$e")))
            );
        }
        assert!(of("m.room.redaction", json!({}), json!(5)).is_none());
    }

    #[test]
    fn in_what_is_encrypted_nothing_is_taken_back_and_no_file_is_in_the_clear() {
        let mut redaction = event(json!({ "redacts": "$e" }));
        redaction["type"] = json!("m.room.redaction");
        assert!(of_encrypted(message("!r", &redaction).unwrap()).is_none());
        let source = |key: &str, value: Value| {
            let mut content = json!({ "msgtype": "m.file", "body": "a" });
            content[key] = value;
            let message = of_encrypted(message("!r", &event(content)).unwrap()).unwrap();
            message.media.unwrap().source.expose().clone()
        };
        assert_eq!(source("url", json!("mxc://hs/a")), "{}");
        let encrypted = json!({ "url": "mxc://hs/a" });
        assert_eq!(source("file", encrypted), r#"{"file":{"url":"mxc://hs/a"}}"#);
    }

    #[test]
    fn mentions_are_read_as_far_as_they_are_ids_and_not_for_ever() {
        let mut content = json!({ "msgtype": "m.text", "body": "hi" });
        content["m.mentions"] = json!({ "user_ids": ["@a:hs", 5, "b", "@b:hs"], "room": true });
        let found = message("!r", &event(content.clone())).unwrap().mentions;
        assert_eq!(found, [UserId::new("@a:hs"), UserId::new("@b:hs")]);
        let many: Vec<String> = (0..1_000).map(|number| format!("@{number}:hs")).collect();
        content["m.mentions"] = json!({ "user_ids": many });
        assert_eq!(message("!r", &event(content)).unwrap().mentions.len(), 50);
    }

    #[test]
    fn a_file_is_read_with_what_is_said_about_it_and_a_sticker_is_not() {
        let mut content = json!({
            "msgtype": "m.image", "body": "look", "filename": "a.png", "url": "mxc://hs/a",
        });
        let found = message("!r", &event(content.clone())).unwrap();
        assert_eq!((found.kind, found.body.as_str()), (MessageKind::Media, "look"));
        assert_eq!(found.media.unwrap().name, "a.png");
        content["msgtype"] = json!("m.emote");
        let emote = message("!r", &event(content.clone())).unwrap();
        assert_eq!((emote.kind, emote.media), (MessageKind::Other, None));
        let mut sticker = event(content);
        sticker["type"] = json!("m.sticker");
        assert!(message("!r", &sticker).is_none());
    }

    #[test]
    fn notices_and_marked_messages_are_told_apart() {
        let notice = json!({ "msgtype": "m.notice", "body": "hi" });
        assert_eq!(message("!r", &event(notice)).unwrap().kind, MessageKind::Notice);
        let marked =
            json!({ "msgtype": "m.text", "body": "hi", "org.matrix.msc1767.automated": true });
        assert!(message("!r", &event(marked)).unwrap().automated);
    }

    #[test]
    fn a_thread_is_kept_and_its_fallback_reply_is_not_a_reply() {
        let content = json!({
            "msgtype": "m.text", "body": "hi",
            "m.relates_to": {
                "rel_type": "m.thread", "event_id": "$root", "is_falling_back": true,
                "m.in_reply_to": { "event_id": "$latest" },
            },
        });
        let found = message("!r", &event(content)).unwrap();
        assert_eq!(found.thread, Some(EventId::new("$root")));
        assert_eq!(found.in_reply_to, None);
    }

    #[test]
    fn what_is_malformed_is_no_message() {
        for broken in [
            json!({}),
            json!({ "msgtype": 5, "body": "x" }),
            json!({ "msgtype": "m.text" }),
            json!({ "msgtype": "m.text", "body": ["x"] }),
            json!(null),
            json!("text"),
        ] {
            assert!(message("!r", &event(broken)).is_none());
        }
        let odd = json!({ "msgtype": "m.text", "body": "x", "m.relates_to": "no object" });
        assert!(message("!r", &event(odd)).is_some());
        assert!(message("!r", &json!([])).is_none());
    }

    #[test]
    fn a_join_is_told_from_a_change_of_name() {
        let member = |membership: &str, before: &str| {
            json!({
                "type": "m.room.member", "state_key": "@bot:hs",
                "content": { "membership": membership },
                "unsigned": { "prev_content": { "membership": before } },
            })
        };
        assert!(is_join(&member("join", "invite"), "@bot:hs"));
        assert!(is_join(&member("join", "leave"), "@bot:hs"));
        assert!(!is_join(&member("join", "join"), "@bot:hs"));
        assert!(!is_join(&member("invite", "leave"), "@bot:hs"));
        assert!(!is_join(&member("join", "invite"), "@other:hs"));
        assert!(!is_join(&event(json!({})), "@bot:hs"));
    }
}
