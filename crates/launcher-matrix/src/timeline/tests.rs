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
    for (content, redacts) in [(json!({ "redacts": "$e" }), json!(null)), (json!({}), json!("$e"))]
    {
        let found = of("m.room.redaction", content, redacts).unwrap();
        assert_eq!((found.kind, found.target), (MessageKind::Redaction, Some(EventId::new("$e"))));
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
    let marked = json!({ "msgtype": "m.text", "body": "hi", "org.matrix.msc1767.automated": true });
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
