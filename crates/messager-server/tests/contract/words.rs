//! What refusals say, and what fields can hold.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{Answer, World, ask, enroll, fanout, id, sealed, with};

/// A refusal by a rule of encryption, with the whole of its body.
#[track_caller]
fn says(answer: &Answer, code: &str, text: &str) {
    assert_eq!(answer.json(), json!({ "code": code, "error": text }), "{}", answer.text);
    assert_eq!((answer.status, &answer.headers["content-type"] == "application/json"), (409, true));
}

#[tokio::test]
async fn each_code_comes_with_its_words() {
    let world = World::start().await;
    let [alice, bob, carol] = world.people(["alice", "bob", "carol"]);
    let (group, plain) = (alice.group(2, &[]).await, alice.group(0, &[]).await);
    let direct = alice.direct(1, &bob).await;
    let new = |fields: Value| with(sealed("content.new"), fields);
    let make = |mode: i64| json!({ "related_user_id": bob.id, "encryption_mode": mode });
    let named = |mode: i64| json!({ "name": "a", "encryption_mode": mode });
    let required = "This room requires E2EE-capable clients.";
    let since = json!({ "last_sync_timestamp": 0 });
    let enable = |room: &str| format!("/api/chat/{room}/e2ee/enable");
    let third = json!({ "related_user_id": carol.id });
    let invalid = "chat.e2ee_mode_invalid_for_room";
    let unable = alice.unable();
    for (answer, code, text) in [
        (unable.send(&group, new(json!({}))).await, "chat.e2ee_required", required),
        (unable.post("/api/chat/sync", since).await, "chat.e2ee_required", required),
        (
            alice.speak(&group, &[]).await,
            "chat.e2ee_voice_not_supported_v1",
            "Voice endpoint is not supported for E2EE rooms in v1.",
        ),
        (
            alice.send(&group, json!({ "content": "a" })).await,
            "chat.e2ee_payload_required",
            "Encrypted payload is required for E2EE rooms.",
        ),
        (
            alice.send(&group, new(json!({ "content": "a" }))).await,
            "chat.e2ee_plaintext_forbidden",
            "Plaintext fields are forbidden for E2EE rooms.",
        ),
        (
            alice.send(&group, new(json!({ "ciphertext": "eyJjb250ZW50IjoiaGkifQ==" }))).await,
            "chat.e2ee_ciphertext_invalid",
            "Ciphertext appears to be plaintext JSON.",
        ),
        (
            alice.post("/api/chat/direct", make(2)).await,
            invalid,
            "Encryption mode is not valid for direct message room.",
        ),
        (
            alice.post("/api/chat", named(1)).await,
            invalid,
            "Encryption mode is not valid for group room.",
        ),
        (
            alice.post("/api/chat", named(3)).await,
            invalid,
            "Encryption mode is not valid for this room type.",
        ),
        (
            alice.post(&enable(&plain), json!({ "encryption_mode": 0 })).await,
            invalid,
            "Encryption mode cannot be None when enabling encryption.",
        ),
        (
            alice.patch(&format!("/api/chat/{plain}"), named(2)).await,
            "chat.e2ee_enable_endpoint_required",
            "Use the e2ee/enable endpoint to turn encryption on. It cannot be turned off.",
        ),
        (
            alice.poke(&enable(&group)).await,
            "chat.e2ee_already_enabled",
            "Encryption is on in this room and cannot be turned off.",
        ),
        (
            alice.post(&format!("/api/chat/invites/{direct}"), third).await,
            "chat.e2ee_dm_member_limit",
            "An encrypted direct chat is for two people.",
        ),
    ] {
        says(&answer, code, text);
    }
    let answer = alice.post("/api/e2ee/messages/fanout", fanout(&bob, &["x"])).await;
    let body = json!({
        "code": "e2ee.fanout_devices_mismatch",
        "error": "The payloads are not one for each active device of the recipient.",
        "missing": [], "unknown": ["x"],
    });
    assert_eq!((answer.status, answer.json()), (409, body));
}

#[tokio::test]
async fn a_missing_login_has_a_body_only_where_others_need_none() {
    let world = World::start().await;
    let alice = world.person("alice");
    let room = alice.group(0, &[]).await;
    let stranger = world.stranger();
    assert_eq!(stranger.get("/api/chat").await.is(401), "");
    let answer = stranger.get(&format!("/api/chat/{room}/messages")).await;
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!((answer.status, &answer.json()["status"]), (401, &json!(401)));
}

/// How much a field holds.
#[derive(Clone, Copy)]
enum Most {
    Letters(usize),
    Bytes(usize),
    /// An object with one text, of so many bytes as JSON.
    Object(usize),
    /// Objects in each other.
    Depth(usize),
}

impl Most {
    fn filled(self, more: usize) -> Value {
        match self {
            Self::Letters(most) => "x".repeat(most + more).into(),
            Self::Bytes(most) => STANDARD.encode(vec![0; most + more]).into(),
            Self::Object(most) => json!({ "a": "x".repeat(most + more - r#"{"a":""}"#.len()) }),
            Self::Depth(most) => (0..most + more).fold(json!(1), |inner, _| json!({ "a": inner })),
        }
    }
}

/// The same body with something else in a place of it; the place is made.
fn filled(body: &Value, place: &str, value: Value) -> Value {
    let mut body = body.clone();
    match place.rsplit_once('/') {
        None => body[place] = value,
        Some((list, field)) => body[list][0][field] = value,
    }
    body
}

#[tokio::test]
async fn each_field_holds_its_most_and_no_more() {
    use Most::{Bytes, Depth, Letters, Object};
    const SEALED: usize = 64 * 1024;
    const FREE: usize = 16 * 1024;
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    enroll(&bob).await;
    let room = alice.group(0, &[&bob]).await;
    let said = id(&alice.say(&room, "a").await);
    let chat = "/api/chat".to_owned();
    let change = format!("{chat}/{room}");
    let messages = format!("{change}/messages");
    let edit = format!("{messages}/{said}");
    let nothing = format!("{messages}/0198c0de-0000-7000-8000-000000000001");
    let timeout = format!("{change}/members/{}/timeout", bob.id);
    let session = format!("/api/e2ee/sessions/{}", bob.id);
    let [upload, bundle, envelopes, keys, devices] = [
        "keys/upload",
        "devices/me/bundle",
        "messages",
        "groups/sender-key/distribute",
        "messages/fanout",
    ]
    .map(|path| format!("/api/e2ee/{path}"));
    let named = json!({ "name": "a" });
    let text = json!({ "content": "a" });
    let until = json!({ "timeout_until": "2001-01-01T00:00:00Z" });
    let key = "A".repeat(42) + "A=";
    let signature = "A".repeat(84) + "AA==";
    let own = json!({
        "identity_key": key, "signed_pre_key": key, "signed_pre_key_signature": signature,
    });
    let envelope = json!({ "recipient_id": bob.id, "ciphertext": "AAEC" });
    let sender_key = json!({ "group_id": "g", "items": [envelope] });
    let all = fanout(&bob, &[&bob.device]);
    let (post, patch, put, delete) = (Method::POST, Method::PATCH, Method::PUT, Method::DELETE);
    let rows = [
        (&post, &chat, &named, 200, &[("name", Letters(1024))][..]),
        (&post, &chat, &named, 200, &[("description", Letters(4096))]),
        (&post, &chat, &named, 200, &[("picture_id", Letters(32)), ("background_id", Letters(32))]),
        (&post, &chat, &named, 200, &[("e2ee_policy", Object(FREE)), ("e2ee_policy", Depth(32))]),
        (&patch, &change, &named, 200, &[("name", Letters(1024)), ("description", Letters(4096))]),
        (&patch, &change, &named, 200, &[("picture_id", Letters(32))]),
        (&patch, &change, &named, 200, &[("background_id", Letters(32))]),
        (&post, &timeout, &until, 204, &[("reason", Letters(4096))]),
        (&post, &messages, &text, 200, &[("content", Letters(4096)), ("nonce", Letters(36))]),
        (&post, &messages, &text, 200, &[("client_message_id", Letters(128))]),
        (&post, &messages, &text, 200, &[("encryption_scheme", Letters(128))]),
        (&post, &messages, &text, 200, &[("encryption_message_type", Letters(128))]),
        (&post, &messages, &text, 200, &[("ciphertext", Bytes(SEALED))]),
        (&post, &messages, &text, 200, &[("encryption_header", Bytes(SEALED))]),
        (&post, &messages, &text, 200, &[("encryption_signature", Bytes(SEALED))]),
        (&post, &messages, &text, 200, &[("meta", Object(FREE)), ("meta", Depth(32))]),
        (&put, &bundle, &own, 200, &[("meta", Depth(32))]),
        (&patch, &edit, &text, 200, &[("content", Letters(4096)), ("nonce", Letters(36))]),
        (&patch, &edit, &text, 200, &[("ciphertext", Bytes(SEALED))]),
        // The fields come first, and then that there is no such message.
        (&delete, &nothing, &json!({}), 404, &[("client_message_id", Letters(128))]),
        (&delete, &nothing, &json!({}), 404, &[("encryption_scheme", Letters(128))]),
        (&delete, &nothing, &json!({}), 404, &[("encryption_message_type", Letters(128))]),
        (&delete, &nothing, &json!({}), 404, &[("ciphertext", Bytes(SEALED))]),
        (&delete, &nothing, &json!({}), 404, &[("encryption_header", Bytes(SEALED))]),
        (&delete, &nothing, &json!({}), 404, &[("encryption_signature", Bytes(SEALED))]),
        (&post, &upload, &own, 200, &[("algorithm", Letters(32)), ("meta", Object(FREE))]),
        (&put, &bundle, &own, 200, &[("algorithm", Letters(32)), ("device_label", Letters(1024))]),
        (&post, &session, &json!({}), 200, &[("hint", Letters(128)), ("meta", Object(FREE))]),
        (&post, &envelopes, &envelope, 200, &[("group_id", Letters(256))]),
        (&post, &envelopes, &envelope, 200, &[("client_message_id", Letters(128))]),
        (&post, &envelopes, &envelope, 200, &[("ciphertext", Bytes(SEALED))]),
        (&post, &envelopes, &envelope, 200, &[("header", Bytes(SEALED))]),
        (&post, &envelopes, &envelope, 200, &[("signature", Bytes(SEALED))]),
        (&post, &envelopes, &envelope, 200, &[("meta", Object(FREE))]),
        (&post, &keys, &sender_key, 200, &[("group_id", Letters(256))]),
        (&post, &keys, &sender_key, 200, &[("items/client_message_id", Letters(128))]),
        (&post, &keys, &sender_key, 200, &[("items/ciphertext", Bytes(SEALED))]),
        (&post, &keys, &sender_key, 200, &[("items/header", Bytes(SEALED))]),
        (&post, &devices, &all, 200, &[("group_id", Letters(256))]),
        (&post, &devices, &all, 200, &[("payloads/client_message_id", Letters(128))]),
        (&post, &devices, &all, 200, &[("payloads/ciphertext", Bytes(SEALED))]),
        (&post, &devices, &all, 200, &[("payloads/signature", Bytes(SEALED))]),
        // There is no such device.
        (&post, &devices, &all, 409, &[("payloads/recipient_device_id", Letters(512))]),
    ];
    for (method, path, body, good, fields) in rows {
        for (place, most) in fields {
            let sends = |more| {
                let body = filled(body, place, most.filled(more));
                ask(alice.request(method.clone(), path).json(&body))
            };
            let answer = sends(0).await;
            assert_eq!(answer.status, good, "{method} {path} {place}: {}", answer.text);
            let answer = sends(1).await;
            assert_eq!(answer.status, 400, "{method} {path} {place}: {}", answer.text);
            let field = place.split('/').next().unwrap();
            let named = answer.json()["errors"][field].is_array();
            assert!(named, "{method} {path} {place}: {}", answer.text);
        }
    }
}
