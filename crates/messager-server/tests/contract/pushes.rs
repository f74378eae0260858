//! Pushes to a webhook.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc};

use crate::world::{PATIENCE, World, sealed, with};

/// Takes pushes, after it has refused some.
struct Webhook {
    url: String,
    pushes: mpsc::UnboundedReceiver<Value>,
}

type Shared = State<(mpsc::UnboundedSender<Value>, Arc<Mutex<u32>>)>;

async fn take(State((pushes, refused)): Shared, Json(push): Json<Value>) -> StatusCode {
    let mut refused = refused.lock().unwrap();
    if *refused > 0 {
        *refused -= 1;
        return StatusCode::BAD_GATEWAY;
    }
    pushes.send(push).unwrap();
    StatusCode::NO_CONTENT
}

impl Webhook {
    async fn start(refused: u32) -> Self {
        let (sender, pushes) = mpsc::unbounded_channel();
        let state = (sender, Arc::new(Mutex::new(refused)));
        let router = Router::new().route("/push", post(take)).with_state(state);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/push", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, pushes }
    }

    async fn next(&mut self) -> Value {
        tokio::time::timeout(PATIENCE, self.pushes.recv()).await.unwrap().unwrap()
    }

    async fn world(&self) -> World {
        let url = self.url.parse().unwrap();
        World::with(|settings| settings.push_webhook = Some(url)).await
    }
}

#[tokio::test]
async fn a_push_of_an_encrypted_message_says_only_that_it_is_one() {
    let mut webhook = Webhook::start(0).await;
    let world = webhook.world().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let room = alice.group(2, &[&bob]).await;
    let invited = webhook.next().await;
    assert_eq!(
        (&invited["topic"], &invited["account_id"]),
        (&json!("invites.chats"), &json!(bob.id))
    );
    let sent = alice.send(&room, sealed("content.new")).await.good();
    let push = webhook.next().await;
    assert_eq!(
        push,
        json!({
            "account_id": bob.id, "topic": "messages.new", "title": "alice (the group)",
            "body": "Encrypted message", "action": format!("/chat/{room}"),
            "meta": {
                "sender_name": "alice", "user_id": alice.id, "sender_id": sent["sender_id"],
                "message_id": sent["id"], "room_id": room, "room_name": "the group",
            },
        })
    );
}

#[tokio::test]
async fn nobody_is_pushed_who_did_not_want_it_or_is_looking() {
    let mut webhook = Webhook::start(0).await;
    let world = webhook.world().await;
    let [alice, all, mentions, none, pause, looks] =
        world.people(["alice", "all", "mentions", "none", "pause", "looks"]);
    let room = alice.group(0, &[&all, &mentions, &none, &pause, &looks]).await;
    for _ in 0..5 {
        assert_eq!(webhook.next().await["topic"], "invites.chats");
    }
    let notify = format!("/api/chat/{room}/members/me/notify");
    mentions.patch(&notify, json!({ "notify_level": 1 })).await.good();
    none.patch(&notify, json!({ "notify_level": 2 })).await.good();
    pause.patch(&notify, json!({ "break_until": "2100-01-01T00:00:00Z" })).await.good();
    let mut socket = looks.connect().await;
    socket.tell("messages.subscribe", json!({ "chat_room_id": room })).await;
    socket.all().await;
    // Edits, deletes, reactions and rows of the system are not pushed at all.
    let said = alice.say(&room, "hello").await;
    let message = format!("/api/chat/{room}/messages/{}", said["id"].as_str().unwrap());
    alice.patch(&message, json!({ "content": "hello, all" })).await.good();
    let heart = json!({ "symbol": "heart", "attitude": 0 });
    alice.post(&format!("{message}/reactions"), heart).await.good();
    alice.delete(&message).await.is(200);
    none.delete(&format!("/api/chat/{room}/members/me")).await.is(204);
    alice.say(&room, "hello @mentions, @none and @all").await;
    let mut pushed = Vec::new();
    for _ in 0..3 {
        let push = webhook.next().await;
        pushed.push((push["account_id"].clone(), push["body"].clone()));
    }
    pushed.sort_by_key(|push| push.0.to_string());
    let second = "hello @mentions, @none and @all";
    let mut wanted = vec![
        (json!(all.id), json!("hello")),
        (json!(all.id), json!(second)),
        (json!(mentions.id), json!(second)),
    ];
    wanted.sort_by_key(|push| push.0.to_string());
    let words = |pushes: &[(Value, Value)]| {
        let mut words: Vec<String> = pushes.iter().map(|push| format!("{push:?}")).collect();
        words.sort();
        words
    };
    assert_eq!(words(&pushed), words(&wanted));
    // The next one is of something else: nothing was left over.
    alice.say(&room, "last").await;
    assert_eq!(webhook.next().await["body"], "last");
}

#[tokio::test]
async fn an_encrypted_message_is_pushed_once_and_names_nobody() {
    let mut webhook = Webhook::start(0).await;
    let world = webhook.world().await;
    let [alice, bob, carol] = world.people(["alice", "bob", "carol"]);
    let room = alice.group(2, &[&bob, &carol]).await;
    let notify = format!("/api/chat/{room}/members/me/notify");
    carol.patch(&notify, json!({ "notify_level": 1 })).await.good();
    for _ in 0..2 {
        assert_eq!(webhook.next().await["topic"], "invites.chats");
    }
    let body = with(
        sealed("content.new"),
        json!({ "client_message_id": "c1", "ciphertext": "QGNhcm9s", "encryption_scheme": "@carol" }),
    );
    let mut pushed = Vec::new();
    for key in ["c1", "c1", "c2"] {
        let body = with(body.clone(), json!({ "client_message_id": key }));
        let sent = alice.send(&room, body).await.good();
        assert_eq!(sent["members_mentioned"], json!([]));
        pushed.push(sent["id"].clone());
    }
    assert_eq!(pushed[0], pushed[1]);
    // In no order: they go out side by side.
    let pushes = [webhook.next().await, webhook.next().await];
    assert!(pushes.iter().all(|push| push["account_id"] == bob.id), "{pushes:?}");
    let ids: BTreeSet<String> =
        pushes.iter().map(|push| push["meta"]["message_id"].to_string()).collect();
    assert_eq!(ids, pushed.iter().map(Value::to_string).collect());
    // And nothing else is on its way.
    let folder = world.stop().await;
    assert_eq!(webhook.pushes.try_recv().ok(), None);
    drop(folder);
}

#[tokio::test]
async fn a_clip_is_pushed_as_one_to_those_who_want_it() {
    let mut webhook = Webhook::start(0).await;
    let world = webhook.world().await;
    let [alice, bob, carol] = world.people(["alice", "bob", "carol"]);
    let room = alice.group(0, &[&bob, &carol]).await;
    let notify = format!("/api/chat/{room}/members/me/notify");
    carol.patch(&notify, json!({ "notify_level": 1 })).await.good();
    for _ in 0..2 {
        assert_eq!(webhook.next().await["topic"], "invites.chats");
    }
    let sent = alice.speak(&room, &[]).await.good();
    let push = webhook.next().await;
    let wanted = (&json!(bob.id), &json!("messages.new"), &json!("Voice message"));
    assert_eq!((&push["account_id"], &push["topic"], &push["body"]), wanted);
    assert_eq!(push["meta"]["message_id"], sent["id"]);
    assert!(!push.to_string().contains("voice_"), "{push}");
    // The next one is of something else: nobody else was pushed the clip.
    alice.say(&room, "last").await;
    assert_eq!(webhook.next().await["body"], "last");
}

#[tokio::test]
async fn a_webhook_that_fails_is_asked_again_and_nobody_waits_for_it() {
    let mut webhook = Webhook::start(2).await;
    let world = webhook.world().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let room = alice.direct(1, &bob).await;
    alice.send(&room, sealed("content.new")).await.good();
    let mut topics = [webhook.next().await, webhook.next().await].map(|push| push["topic"].clone());
    topics.sort_by_key(ToString::to_string);
    assert_eq!(topics, ["invites.chats", "messages.new"]);
}
