//! What those get who are not in a room: on every route, and over the websocket.

use std::collections::BTreeSet;

use reqwest::{Method, header::CONTENT_TYPE};
use serde_json::{Value, json};

use crate::world::{Answer, Person, World, ask, id, sealed};

/// Everybody who is not in the room, by what they are.
struct Strangers {
    world: World,
    /// Whose room it is.
    alice: Person,
    room: String,
    message: String,
    /// In the order of the table.
    all: Vec<(&'static str, Person)>,
    unknown: &'static str,
}

const UNKNOWN: &str = "0198c0de-0000-7000-8000-000000000001";

/// What nobody of them may see.
const SECRET: &str = "c2VjcmV0c2VjcmV0";

impl Strangers {
    /// Around a group with a message in it.
    async fn around(body: Value) -> Self {
        let world = World::start().await;
        let [alice, nobody, elsewhere, invited, gone] =
            world.people(["alice", "nobody", "elsewhere", "invited", "gone"]);
        let revoked = world.person("revoked");
        let is_encrypted = body["encryption_mode"] == 2;
        let room = id(&alice.post("/api/chat", body).await.good());
        for member in [&gone, &revoked] {
            alice.bring(&room, member).await;
        }
        alice.group(2, &[&elsewhere]).await;
        gone.delete(&format!("/api/chat/{room}/members/me")).await.is(204);
        let whom = json!({ "related_user_id": invited.id });
        alice.post(&format!("/api/chat/invites/{room}"), whom).await.good();
        let mut said = json!({ "content": SECRET });
        if is_encrypted {
            said = sealed("content.new");
            said["ciphertext"] = SECRET.into();
        }
        let message = id(&alice.send(&room, said).await.good());
        revoked.revoke(&world, "revoked");
        let all = vec![
            ("without a token", world.stranger()),
            ("with a revoked token", revoked),
            ("not a member", nobody),
            ("a member of another room", elsewhere),
            ("invited", invited),
            ("gone", gone),
        ];
        Self { world, alice, room, message, all, unknown: UNKNOWN }
    }

    /// Asks for a route of the document, about the room and the message or about
    /// others.
    async fn ask(&self, who: &Person, route: &str, (room, message): (&str, &str)) -> Answer {
        let (method, path) = route.split_once(' ').unwrap();
        let path = path
            .replace("{id}", room)
            .replace("{message_id}", message)
            .replace("{voice_id}", message)
            .replace("{account_id}", &self.alice.id)
            .replace("{symbol}", "heart");
        let request = who.request(method.parse::<Method>().unwrap(), &path);
        let request = match route {
            "POST /api/chat/{id}/messages/voice" => {
                let part = "--b\r\nContent-Disposition: form-data; name=\"File\"\r\n\r\nx\r\n--b--";
                request.header(CONTENT_TYPE, "multipart/form-data; boundary=b").body(part)
            }
            _ if method == "GET" => request,
            _ => request.json(&body(route, &self.alice)),
        };
        ask(request).await
    }
}

/// A body that is good.
fn body(route: &str, alice: &Person) -> Value {
    let (method, path) = route.split_once(' ').unwrap();
    match path.strip_prefix("/api/chat/").unwrap_or_default() {
        "{id}" => json!({ "name": "mine" }),
        "{id}/messages" => sealed("content.new"),
        "{id}/messages/{message_id}" if method == "PATCH" => sealed("content.edit"),
        "{id}/messages/{message_id}" => sealed("content.delete"),
        "{id}/messages/{message_id}/reactions" => json!({ "symbol": "heart", "attitude": 0 }),
        "{id}/members/{account_id}/timeout" => json!({ "timeout_until": "2100-01-01T00:00:00Z" }),
        "{id}/sync" => json!({ "last_sync_timestamp": 0 }),
        "invites/{id}" => json!({ "related_user_id": alice.id }),
        _ => json!({}),
    }
}

/// Each route about a room: what those get who show no token or a revoked one, then
/// those who are not in it; and what these get for a room that is not there.
const ROUTES: [(&str, u16, u16, u16); 24] = [
    // By the contract for everybody who knows the id.
    ("GET /api/chat/{id}", 200, 200, 404),
    ("PATCH /api/chat/{id}", 401, 403, 404),
    ("DELETE /api/chat/{id}", 401, 403, 404),
    ("POST /api/chat/{id}/e2ee/enable", 401, 403, 404),
    ("GET /api/chat/{id}/members", 401, 403, 404),
    ("GET /api/chat/{id}/members/online", 401, 403, 404),
    ("GET /api/chat/{id}/members/me", 401, 404, 404),
    ("POST /api/chat/{id}/members/me", 401, 403, 404),
    ("DELETE /api/chat/{id}/members/me", 401, 404, 404),
    ("PATCH /api/chat/{id}/members/me/notify", 401, 404, 404),
    ("DELETE /api/chat/{id}/members/{account_id}", 401, 403, 404),
    ("POST /api/chat/{id}/members/{account_id}/timeout", 401, 403, 404),
    ("DELETE /api/chat/{id}/members/{account_id}/timeout", 401, 403, 404),
    ("POST /api/chat/invites/{id}", 401, 403, 404),
    ("GET /api/chat/{id}/messages", 401, 403, 404),
    ("GET /api/chat/{id}/messages/{message_id}", 401, 403, 404),
    // By the contract a missing room is one that one is not in.
    ("POST /api/chat/{id}/messages", 401, 403, 403),
    ("PATCH /api/chat/{id}/messages/{message_id}", 401, 403, 404),
    ("DELETE /api/chat/{id}/messages/{message_id}", 401, 403, 404),
    ("POST /api/chat/{id}/messages/voice", 401, 403, 403),
    ("GET /api/chat/{id}/voice/{voice_id}", 401, 403, 404),
    ("POST /api/chat/{id}/messages/{message_id}/reactions", 401, 403, 403),
    ("DELETE /api/chat/{id}/messages/{message_id}/reactions/{symbol}", 401, 403, 403),
    ("POST /api/chat/{id}/sync", 401, 403, 404),
];

/// What the one who is invited may do besides; everybody else finds no invitation.
const INVITED: [&str; 2] =
    ["POST /api/chat/invites/{id}/accept", "POST /api/chat/invites/{id}/decline"];

/// Routes that are about the one who asks, or for all who have a token.
const OWN: [&str; 26] = [
    "GET /api/accounts/me",
    "GET /api/accounts/{name}",
    "GET /api/chat",
    "POST /api/chat",
    "POST /api/chat/direct",
    "GET /api/chat/direct/{account_id}",
    "GET /api/chat/invites",
    "POST /api/chat/sync",
    "GET /api/chat/summary",
    "GET /api/chat/unread",
    "POST /api/e2ee/keys/upload",
    "PUT /api/e2ee/devices/me/bundle",
    "GET /api/e2ee/keys/me",
    "GET /api/e2ee/keys/{account_id}/bundle",
    "GET /api/e2ee/keys/{account_id}/devices",
    "POST /api/e2ee/devices/{device_id}/revoke",
    "POST /api/e2ee/sessions/{peer_id}",
    "POST /api/e2ee/messages",
    "POST /api/e2ee/groups/sender-key/distribute",
    "POST /api/e2ee/messages/fanout",
    "GET /api/e2ee/messages/pending",
    "POST /api/e2ee/messages/{envelope_id}/ack",
    "GET /api/e2ee/envelopes/pending",
    "POST /api/e2ee/envelopes/{envelope_id}/ack",
    "GET /ws",
    "GET /openapi.json",
];

#[test]
fn each_route_of_the_document_is_in_a_table() {
    let document = messager_server::openapi();
    let mut documented = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            documented.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    let open = ["GET /healthz", "GET /readyz", "GET /metrics"];
    let about_rooms = ROUTES.iter().map(|(route, ..)| *route);
    let listed = about_rooms.chain(INVITED).chain(OWN).chain(open).map(str::to_owned);
    assert_eq!(listed.collect::<BTreeSet<_>>(), documented);
}

#[tokio::test]
async fn whoever_is_not_in_a_room_learns_no_more_of_it_than_the_contract_says() {
    let strangers = Strangers::around(json!({ "name": "a", "encryption_mode": 2 })).await;
    let (room, message) = (strangers.room.as_str(), strangers.message.as_str());
    let elsewhere = strangers.alice.group(2, &[]).await;
    for (place, (what, who)) in strangers.all.iter().enumerate() {
        let has_token = place > 1;
        for (route, without, with, missing) in ROUTES {
            // A client that cannot encrypt is not told that it would have to.
            for who in [who.clone(), who.unable()] {
                let expected = if has_token { with } else { without };
                // Whether the message is there makes no difference, nor in which room.
                for message in [message, strangers.unknown] {
                    let answer = strangers.ask(&who, route, (room, message)).await;
                    assert_eq!(answer.status, expected, "{what}: {route}: {}", answer.text);
                    assert!(!answer.text.contains(SECRET), "{what}: {route}: {}", answer.text);
                }
                let answer = strangers.ask(&who, route, (&elsewhere, message)).await;
                assert_eq!(answer.status, expected, "{what}: {route} of another room");
                let answer = strangers.ask(&who, route, (strangers.unknown, message)).await;
                // Without a token a room that is not there looks like a private one.
                let is_told = has_token || route == "GET /api/chat/{id}";
                let missing = if is_told { missing } else { 401 };
                assert_eq!(answer.status, missing, "{what}: {route} of no room: {}", answer.text);
            }
        }
        for route in INVITED {
            for room in [room, strangers.unknown] {
                if *what != "invited" {
                    let expected = if has_token { 404 } else { 401 };
                    let answer = strangers.ask(who, route, (room, "")).await;
                    assert_eq!(answer.status, expected, "{what}: {route}: {}", answer.text);
                }
            }
        }
    }
    // Nothing was done to it.
    let rows = strangers.alice.rows(room, 0).await;
    assert_eq!(id(rows.last().unwrap()), message);
    assert_eq!(rows.last().unwrap()["ciphertext"], SECRET);
}

#[tokio::test]
async fn what_is_ones_own_has_nothing_of_a_room_that_one_is_not_in() {
    let strangers = Strangers::around(json!({ "name": "a", "encryption_mode": 2 })).await;
    for (place, (what, who)) in strangers.all.iter().enumerate() {
        for route in OWN {
            let (method, path) = route.split_once(' ').unwrap();
            if path.contains('{') && !path.contains("{account_id}") {
                continue;
            }
            let path = path.replace("{account_id}", &strangers.alice.id);
            let request = who.request(method.parse().unwrap(), &path);
            let answer = ask(match method {
                "GET" => request,
                _ => request.json(&json!({ "last_sync_timestamp": 0 })),
            })
            .await;
            if place < 2 && path != "/openapi.json" {
                assert_eq!((answer.status, answer.text.as_str()), (401, ""), "{what}: {route}");
            }
            let is_told = *what == "invited" && route == "GET /api/chat/invites";
            for secret in [SECRET, &strangers.message, &strangers.room] {
                let is_in = answer.text.contains(secret);
                assert!(!is_in || is_told && secret == strangers.room, "{what}: {route}: {secret}");
            }
        }
    }
}

#[tokio::test]
async fn over_the_socket_nothing_comes_from_a_room_that_one_is_not_in() {
    let strangers = Strangers::around(json!({ "name": "a", "encryption_mode": 2 })).await;
    let Strangers { alice, room, all, .. } = &strangers;
    let rows = alice.rows(room, 0).await.len();
    for (what, who) in &all[..2] {
        assert_eq!(who.connect_as("").await.unwrap_err(), 401, "{what}");
    }
    for (what, who) in &all[2..] {
        let mut socket = who.connect().await;
        let mut own = alice.connect().await;
        own.tell("messages.subscribe", json!({ "chat_room_id": room })).await;
        own.all().await;
        for kind in ["messages.read", "messages.typing", "messages.subscribe", "messages.send"] {
            let mut data = sealed("content.new");
            for room in [room.as_str(), strangers.unknown] {
                data["chat_room_id"] = room.into();
                socket.tell(kind, data.clone()).await;
                let refused = socket.until("error").await;
                let text = refused["error_message"].as_str().unwrap();
                assert!(text.contains("member"), "{what}: {kind}: {text}");
                assert_eq!(refused["data"]["code"], json!(null), "{what}: {kind}");
            }
        }
        own.tell("messages.typing", json!({ "chat_room_id": room })).await;
        let sent = alice.send(room, sealed("content.new")).await.good();
        alice.react(room, &id(&sent)).await;
        assert_eq!(socket.all().await, Vec::<Value>::new(), "{what}");
        let heard = own.all().await;
        assert!(heard.iter().all(|packet| packet["data"]["sender"]["account_id"] == alice.id));
    }
    let added = alice.rows(room, 0).await.len() - rows;
    assert_eq!(added, 2 * (all.len() - 2), "alice's own rows and no others");
    drop(strangers.world);
}

#[tokio::test]
async fn a_public_room_that_is_encrypted_is_read_by_its_members_only() {
    let body = json!({ "name": "a", "encryption_mode": 2, "is_public": true });
    let strangers = Strangers::around(body).await;
    for (place, (what, who)) in strangers.all.iter().enumerate() {
        for who in [who.clone(), who.unable()] {
            for route in ["GET /api/chat/{id}/messages", "GET /api/chat/{id}/messages/{message_id}"]
            {
                let ids = (strangers.room.as_str(), strangers.message.as_str());
                let answer = strangers.ask(&who, route, ids).await;
                assert_eq!(answer.status, if place < 2 { 401 } else { 403 }, "{what}: {route}");
            }
        }
    }
}

#[tokio::test]
async fn a_room_that_was_deleted_is_gone_for_everybody() {
    let strangers = Strangers::around(json!({ "name": "a", "encryption_mode": 2 })).await;
    let Strangers { alice, room, message, .. } = &strangers;
    alice.delete(&format!("/api/chat/{room}")).await.is(204);
    for (route, _, _, missing) in ROUTES {
        let answer = strangers.ask(alice, route, (room, message)).await;
        assert_eq!(answer.status, missing, "{route}: {}", answer.text);
    }
    for (what, who) in &strangers.all[2..] {
        for route in INVITED {
            assert_eq!(strangers.ask(who, route, (room, "")).await.status, 404, "{what}: {route}");
        }
        assert_eq!(who.get("/api/chat/invites").await.good(), json!([]), "{what}");
    }
    let mut socket = alice.connect().await;
    socket.tell("messages.subscribe", json!({ "chat_room_id": room })).await;
    socket.until("error").await;
}
