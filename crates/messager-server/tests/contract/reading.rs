//! Who reads which room.

use serde_json::json;

use crate::world::{World, id, sealed};

#[tokio::test]
async fn an_encrypted_room_is_read_by_members_with_able_clients_only() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let body = json!({ "name": "a", "is_public": true, "encryption_mode": 2 });
    let room = id(&alice.post("/api/chat", body).await.good());
    let sent = alice.send(&room, sealed("content.new")).await.good();
    let list = format!("/api/chat/{room}/messages");
    for path in [list.clone(), format!("{list}/{}", id(&sent))] {
        // 401, 403, 409: a stranger never learns that it is encrypted.
        world.stranger().unable().get(&path).await.is(401);
        bob.unable().get(&path).await.is(403);
        bob.get(&path).await.is(403);
        alice.unable().get(&path).await.breaks("chat.e2ee_required");
        alice.get(&path).await.good();
    }
    let sync = format!("/api/chat/{room}/sync");
    let since = json!({ "last_sync_timestamp": 0 });
    world.stranger().post(&sync, since.clone()).await.is(401);
    bob.unable().post(&sync, since.clone()).await.is(403);
    alice.unable().post(&sync, since.clone()).await.breaks("chat.e2ee_required");
    alice.post(&sync, since).await.good();
    alice.get(&format!("{list}/0198c0de-0000-7000-8000-000000000001")).await.is(404);
    // Who is in a public room everybody may know, by the contract.
    let members = world.stranger().unable().get(&format!("/api/chat/{room}/members")).await.good();
    assert_eq!(members[0]["account_id"], alice.id);
}

#[tokio::test]
async fn a_public_room_in_the_clear_is_read_by_everybody_and_a_private_one_by_members() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let body = json!({ "name": "a", "is_public": true });
    let open = id(&alice.post("/api/chat", body).await.good());
    alice.say(&open, "hello").await;
    let list = format!("/api/chat/{open}/messages");
    for reader in [&world.stranger(), &bob.unable()] {
        assert_eq!(reader.get(&list).await.good()[0]["content"], "hello");
    }
    // A sync is for members.
    let since = json!({ "last_sync_timestamp": 0 });
    bob.post(&format!("/api/chat/{open}/sync"), since).await.is(403);
    let closed = alice.group(0, &[]).await;
    let list = format!("/api/chat/{closed}/messages");
    world.stranger().get(&list).await.is(401);
    bob.get(&list).await.is(403);
    let nowhere = "/api/chat/0198c0de-0000-7000-8000-000000000001/messages";
    world.stranger().get(nowhere).await.is(401);
    bob.get(nowhere).await.is(404);
}

#[tokio::test]
async fn a_list_is_paged_from_the_newest_and_hides_what_was_deleted() {
    let world = World::start().await;
    let alice = world.person("alice");
    let (room, other) = (alice.group(0, &[]).await, alice.group(0, &[]).await);
    for number in 0..5 {
        alice.say(&room, &number.to_string()).await;
    }
    let deleted = id(&alice.say(&room, "gone").await);
    let list = format!("/api/chat/{room}/messages");
    alice.delete(&format!("{list}/{deleted}")).await.is(200);
    // 20 unless told.
    for number in 0..20 {
        alice.say(&other, &number.to_string()).await;
    }
    alice.say(&other, "newest").await;
    let path = format!("/api/chat/{other}/messages");
    for (query, count) in [("", 20), ("?take=9999", 21), ("?take=0", 0), ("?offset=20", 1)] {
        let rows = alice.get(&format!("{path}{query}")).await.good();
        assert_eq!(rows.as_array().unwrap().len(), count, "{query}");
    }
    let answer = alice.get(&format!("{list}?take=3&offset=1")).await;
    assert_eq!(answer.headers["x-total"], "6");
    let rows = answer.good();
    let words: Vec<_> = rows.as_array().unwrap().iter().map(|row| row["content"].clone()).collect();
    assert_eq!(words, ["4", "3", "2"]);
    assert_eq!(alice.get(&list).await.good()[0]["type"], "messages.delete");
    alice.get(&format!("{list}?take=many")).await.is(400);
}

#[tokio::test]
async fn a_header_that_names_the_ability_among_others_counts_and_a_similar_one_does_not() {
    let world = World::start().await;
    let alice = world.person("alice");
    let room = alice.group(2, &[]).await;
    let path = format!("/api/chat/{room}/messages");
    let asks = |name: &str, value: &str| {
        let request = alice.unable().request(reqwest::Method::GET, &path).header(name, value);
        crate::world::ask(request)
    };
    asks("X-Client-Ability", "other, CHAT-E2EE-V1").await.good();
    asks("X-Dyson-Client-Capabilities", "chat-e2ee-v1").await.good();
    for similar in ["chat-e2ee-v10", "xchat-e2ee-v1", "chat"] {
        asks("X-Client-Ability", similar).await.breaks("chat.e2ee_required");
    }
}

#[tokio::test]
async fn a_client_that_cannot_encrypt_learns_nothing_of_encrypted_rooms_from_counts() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let secret = alice.group(2, &[&bob]).await;
    let open = alice.group(0, &[&bob]).await;
    alice.send(&secret, sealed("content.new")).await.good();
    alice.say(&open, "hello").await;
    let seen = bob.get("/api/chat/summary").await.good();
    assert_eq!(seen[&secret]["last_message"]["ciphertext"], "AAEC/w==");
    assert_eq!(seen[&secret]["unread_count"], 3, "joined, rotate, the message");
    assert_eq!(seen[&open]["last_message"]["content"], "hello");
    let seen = bob.unable().get("/api/chat/summary").await.good();
    assert_eq!(seen[&secret], json!({ "unread_count": 0, "last_message": null }));
    assert_eq!(seen[&open]["unread_count"], 2);
    assert_eq!(bob.get("/api/chat/unread").await.good(), 5);
    assert_eq!(bob.unable().get("/api/chat/unread").await.good(), 2);
    // Rows of one's own count, too.
    bob.say(&open, "hello").await;
    assert_eq!(bob.unable().get("/api/chat/unread").await.good(), 3);
}
