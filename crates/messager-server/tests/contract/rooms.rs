//! Rooms, and how they are encrypted.

use serde_json::json;

use crate::world::{World, id};

const MODE: &str = "chat.e2ee_mode_invalid_for_room";

#[tokio::test]
async fn a_direct_chat_takes_modes_0_and_1_and_a_group_0_and_2() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    for mode in [2, 3, -1, 99] {
        let body = json!({ "related_user_id": bob.id, "encryption_mode": mode });
        alice.post("/api/chat/direct", body).await.breaks(MODE);
    }
    for mode in [1, 3, -1] {
        alice.post("/api/chat", json!({ "name": "a", "encryption_mode": mode })).await.breaks(MODE);
    }
    for mode in [json!(0), json!(1)] {
        let body = json!({ "related_user_id": bob.id, "encryption_mode": mode });
        let room = alice.post("/api/chat/direct", body).await.good();
        assert_eq!((&room["encryption_mode"], &room["type"]), (&mode, &json!(1)));
    }
    for mode in [json!(null), json!(0), json!(2)] {
        let body = json!({ "name": "a", "encryption_mode": mode });
        let room = alice.post("/api/chat", body).await.good();
        assert_eq!(room["encryption_mode"], mode.as_i64().unwrap_or(0));
    }
    let body = json!({ "name": "a", "encryption_mode": "E2eeSenderKeyGroup" });
    alice.post("/api/chat", body).await.is(400);
}

#[tokio::test]
async fn a_pair_has_one_direct_chat_of_each_mode() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let make = |mode| json!({ "related_user_id": bob.id, "encryption_mode": mode });
    let plain = id(&alice.post("/api/chat/direct", make(0)).await.good());
    let text = alice.post("/api/chat/direct", make(0)).await.is(400);
    assert_eq!(text, "You already have a DM with this user.");
    let sealed = id(&alice.post("/api/chat/direct", make(1)).await.good());
    // The mode is looked at first, and then whether there is such a user.
    let nobody = "0198c0de-0000-7000-8000-000000000001";
    let body = |mode| json!({ "related_user_id": nobody, "encryption_mode": mode });
    alice.post("/api/chat/direct", body(2)).await.breaks(MODE);
    alice.post("/api/chat/direct", body(1)).await.is(400);
    alice.post("/api/chat/direct", json!({ "related_user_id": alice.id })).await.is(400);
    let found = bob.get(&format!("/api/chat/direct/{}", alice.id)).await.good();
    assert_eq!(id(&found), sealed, "the encrypted one is found");
    assert_eq!(found["members"][0]["account_id"], alice.id);
    // A declined one does not stand in the way of another.
    bob.poke(&format!("/api/chat/invites/{plain}/decline")).await.is(204);
    let plain = id(&alice.post("/api/chat/direct", make(0)).await.good());
    // One that the other has left does.
    bob.poke(&format!("/api/chat/invites/{plain}/accept")).await.good();
    bob.delete(&format!("/api/chat/{plain}/members/me")).await.is(204);
    alice.post("/api/chat/direct", make(0)).await.is(400);
    alice.get(&format!("/api/chat/direct/{nobody}")).await.is(404);
}

#[tokio::test]
async fn a_direct_chat_shows_the_other_members_to_its_members_only() {
    let world = World::start().await;
    let [alice, bob, carol] = world.people(["alice", "bob", "carol"]);
    let room = alice.direct(1, &bob).await;
    let path = format!("/api/chat/{room}");
    assert_eq!(alice.get(&path).await.good()["members"][0]["account"]["name"], "bob");
    assert_eq!(bob.get(&path).await.good()["members"].as_array().unwrap().len(), 1);
    for other in [carol, world.stranger()] {
        let found = other.unable().get(&path).await.good();
        assert_eq!((&found["members"], &found["encryption_mode"]), (&json!([]), &json!(1)));
    }
    let group = alice.group(0, &[&bob]).await;
    let found = alice.get(&format!("/api/chat/{group}")).await.good();
    assert_eq!(found["members"], json!([]));
    assert_eq!(found["resource_identifier"], format!("chatroom:{group}"));
}

#[tokio::test]
async fn encryption_is_turned_on_by_its_endpoint_for_ever_and_takes_effect_at_once() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let room = alice.group(0, &[&bob]).await;
    alice.say(&room, "in the clear").await;
    let path = format!("/api/chat/{room}");
    let enable = format!("{path}/e2ee/enable");
    // 404, 403, already, mode: in this order.
    let nowhere = "/api/chat/0198c0de-0000-7000-8000-000000000001/e2ee/enable";
    alice.post(nowhere, json!({ "encryption_mode": 1 })).await.is(404);
    bob.post(&enable, json!({ "encryption_mode": 1 })).await.is(403);
    for mode in [0, 1, 7] {
        alice.post(&enable, json!({ "encryption_mode": mode })).await.breaks(MODE);
    }
    let mut socket = bob.connect().await;
    assert_eq!(alice.poke(&enable).await.good()["encryption_mode"], 2);
    let row = socket.until("messages.new").await["data"].take();
    assert_eq!(row["type"], "system.e2ee.enabled");
    assert_eq!(row["content"], "This chat now uses E2EE.");
    let meta = json!({ "event": "e2ee_enabled", "room_id": room, "mode": "E2eeSenderKeyGroup" });
    assert_eq!(row["meta"], meta);
    assert_eq!(row["sender"]["account_id"], alice.id);
    let refused = bob.send(&room, json!({ "content": "hello" })).await;
    refused.breaks("chat.e2ee_payload_required");
    // Nobody has to change keys that nobody has.
    let kinds: Vec<_> = alice.rows(&room, 0).await.iter().map(|row| row["type"].clone()).collect();
    assert_eq!(kinds, ["system.member.joined", "text", "system.e2ee.enabled"]);
    bob.poke(&enable).await.is(403);
    for mode in [0, 1, 2] {
        let refused = alice.post(&enable, json!({ "encryption_mode": mode })).await;
        refused.breaks("chat.e2ee_already_enabled");
        let body = json!({ "name": "other", "encryption_mode": mode });
        alice.patch(&path, body).await.breaks("chat.e2ee_enable_endpoint_required");
    }
    assert_eq!(alice.get(&path).await.good()["name"], "the group", "nothing was changed");
}

#[tokio::test]
async fn both_members_of_a_direct_chat_can_turn_encryption_on() {
    let world = World::start().await;
    let [alice, bob, carol] = world.people(["alice", "bob", "carol"]);
    let room = alice.direct(0, &bob).await;
    let enable = format!("/api/chat/{room}/e2ee/enable");
    carol.poke(&enable).await.is(403);
    assert_eq!(bob.poke(&enable).await.good()["encryption_mode"], 1);
    let row = alice.rows(&room, 0).await.pop().unwrap();
    let meta = json!({ "event": "e2ee_enabled", "room_id": room, "mode": "E2eeDm" });
    assert_eq!((&row["type"], &row["meta"]), (&json!("system.e2ee.enabled"), &meta));
    assert_eq!(row["sender"]["account_id"], bob.id);
}

#[tokio::test]
async fn an_encrypted_direct_chat_is_for_two_who_are_in_it_or_invited() {
    const LIMIT: &str = "chat.e2ee_dm_member_limit";
    let world = World::start().await;
    let [alice, bob, carol] = world.people(["alice", "bob", "carol"]);
    let body = json!({ "related_user_id": bob.id, "encryption_mode": 1 });
    let room = id(&alice.post("/api/chat/direct", body).await.good());
    let invite = format!("/api/chat/invites/{room}");
    let third = json!({ "related_user_id": carol.id });
    alice.post(&invite, third.clone()).await.breaks(LIMIT);
    bob.poke(&format!("{invite}/accept")).await.good();
    bob.post(&invite, third.clone()).await.breaks(LIMIT);
    // In one without encryption there may be three, and then it stays so.
    let plain = alice.direct(0, &bob).await;
    alice.bring(&plain, &carol).await;
    alice.poke(&format!("/api/chat/{plain}/e2ee/enable")).await.breaks(LIMIT);
}

#[tokio::test]
async fn a_change_needs_a_name_and_says_what_is_different() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let room = alice.group(0, &[&bob]).await;
    let path = format!("/api/chat/{room}");
    alice.patch(&path, json!({ "description": "d" })).await.is(400);
    alice.patch(&path, json!({ "name": " " })).await.is(400);
    bob.patch(&path, json!({ "name": "x" })).await.is(403);
    let mut socket = bob.connect().await;
    let body = json!({ "name": "other", "description": "d" });
    assert_eq!(alice.patch(&path, body).await.good()["description"], "d");
    let row = socket.until("messages.new").await["data"].take();
    assert_eq!(row["type"], "system.chat.updated");
    assert_eq!(row["meta"]["changes"]["name"], json!({ "old": "the group", "new": "other" }));
    alice.patch(&path, json!({ "name": "other" })).await.good();
    assert_eq!(socket.all().await, Vec::<serde_json::Value>::new(), "nothing was different");
    let direct = alice.direct(0, &bob).await;
    bob.patch(&format!("/api/chat/{direct}"), json!({ "name": "ours" })).await.good();
}

#[tokio::test]
async fn only_the_owner_deletes_a_room_and_then_it_is_gone() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let room = alice.group(2, &[&bob]).await;
    let path = format!("/api/chat/{room}");
    bob.delete(&path).await.is(403);
    alice.delete(&path).await.is(204);
    for person in [&alice, &bob] {
        person.get(&path).await.is(404);
        person.get(&format!("{path}/messages")).await.is(404);
        person.delete(&path).await.is(404);
        person.send(&room, json!({ "content": "a" })).await.is(403);
        assert_eq!(person.get("/api/chat").await.good(), json!([]));
        assert_eq!(person.get("/api/chat/unread").await.good(), 0);
    }
    let direct = alice.direct(1, &bob).await;
    bob.delete(&format!("/api/chat/{direct}")).await.is(403);
}

#[tokio::test]
async fn there_are_no_realms() {
    let world = World::start().await;
    let alice = world.person("alice");
    let body = json!({ "name": "a", "realm_id": "0198c0de-0000-7000-8000-000000000001" });
    let text = alice.post("/api/chat", body).await.is(400);
    assert!(text.contains("realm_id"), "{text}");
}
