//! Turns events of a room's timeline into messages.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use launcher_core::{
    conversation::{Message, MessageKind},
    names::{EventId, RoomId, UserId},
    trust::Assurance,
};
use serde_json::Value;

use crate::content::AUTOMATED;

/// The message in an event, if it is one, as if it had been sent in the clear.
/// Redacted messages are none.
pub(crate) fn message(room: &str, event: &Value) -> Option<Message> {
    if event["type"] != "m.room.message" || !event["state_key"].is_null() {
        return None;
    }
    let content = &event["content"];
    let relation = &content["m.relates_to"];
    let msgtype = content["msgtype"].as_str()?;
    let kind = match (msgtype, relation["rel_type"].as_str()) {
        (_, Some("m.replace")) => MessageKind::Edit,
        ("m.text", _) => MessageKind::Text,
        ("m.notice", _) => MessageKind::Notice,
        _ => MessageKind::Other,
    };
    let in_thread = relation["rel_type"] == "m.thread";
    // In a thread, clients that know none see a reply to the latest message.
    let fallback = in_thread && relation["is_falling_back"] == true;
    let in_reply_to = relation["m.in_reply_to"]["event_id"].as_str().filter(|_| !fallback);
    Some(Message {
        room: RoomId::new(room),
        event: EventId::new(event["event_id"].as_str()?),
        sender: UserId::new(event["sender"].as_str()?),
        kind,
        body: content["body"].as_str()?.to_owned(),
        age: age(event),
        automated: AUTOMATED.iter().any(|mark| content[mark] == true),
        thread: relation["event_id"].as_str().filter(|_| in_thread).map(EventId::new),
        in_reply_to: in_reply_to.map(EventId::new),
        target: None,
        mentions: Vec::new(),
        direct: false,
        media: None,
        assurance: Assurance::InTheClear,
    })
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
    fn edits_notices_and_marked_messages_are_told_apart() {
        let edit = json!({
            "msgtype": "m.text", "body": "* hi",
            "m.relates_to": { "rel_type": "m.replace", "event_id": "$old" },
        });
        assert_eq!(message("!r", &event(edit)).unwrap().kind, MessageKind::Edit);
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
