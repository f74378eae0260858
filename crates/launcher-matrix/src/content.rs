//! What an answer looks like on the wire, before it is encrypted.

use launcher_runtime::ports::{Answer, Notice, NoticeKind};
use serde_json::{Value, json};

/// Marks a message that no person wrote (MSC3955). The stable name is not
/// decided yet, so both are read and the unstable one is written.
pub(crate) const AUTOMATED: [&str; 2] = ["org.matrix.msc1767.automated", "m.automated"];

/// The type of a message.
pub(crate) const MESSAGE: &str = "m.room.message";

/// The type of a reaction.
pub(crate) const REACTION: &str = "m.reaction";

/// The content of an `m.room.message` event.
///
/// A rich reply without the old quoted fallback (removed in spec 1.13), which
/// mentions the asker (spec 11.37) and stays in the asker's thread (11.36).
pub(crate) fn answer(answer: &Answer) -> Value {
    let reply = json!({ "event_id": answer.in_reply_to.as_str() });
    let relation = match &answer.thread {
        Some(root) => json!({
            "rel_type": "m.thread",
            "event_id": root.as_str(),
            "is_falling_back": false,
            "m.in_reply_to": reply,
        }),
        None => json!({ "m.in_reply_to": reply }),
    };
    json!({
        "msgtype": "m.text",
        "body": answer.text,
        "m.mentions": { "user_ids": [answer.asker.as_str()] },
        "m.relates_to": relation,
        AUTOMATED[0]: true,
    })
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
        NoticeKind::NotTrusted { hint } => {
            let relation = json!({
                "rel_type": "m.annotation",
                "event_id": notice.about.as_str(),
                "key": hint,
            });
            (REACTION, json!({ "m.relates_to": relation, AUTOMATED[0]: true }))
        }
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

#[cfg(test)]
mod tests {
    use launcher_core::names::{EventId, RoomId, UserId};

    use super::*;

    fn example(thread: Option<&str>) -> Answer {
        Answer {
            room: RoomId::new("!r:hs"),
            text: "echo: hi".into(),
            in_reply_to: EventId::new("$question"),
            asker: UserId::new("@alice:hs"),
            thread: thread.map(EventId::new),
            transaction: "t".into(),
        }
    }

    #[test]
    fn an_answer_is_a_reply_that_mentions_the_asker_and_is_marked() {
        let content = answer(&example(None));
        assert_eq!(
            content["m.relates_to"],
            json!({ "m.in_reply_to": { "event_id": "$question" } })
        );
        assert_eq!(content["m.mentions"]["user_ids"], json!(["@alice:hs"]));
        assert_eq!(content["org.matrix.msc1767.automated"], true);
        assert_eq!(content["msgtype"], "m.text");
    }

    #[test]
    fn an_answer_stays_in_its_thread() {
        let relation = &answer(&example(Some("$root")))["m.relates_to"];
        assert_eq!(relation["rel_type"], "m.thread");
        assert_eq!(relation["event_id"], "$root");
        assert_eq!(relation["m.in_reply_to"]["event_id"], "$question");
    }
}
