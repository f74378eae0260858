//! When a room's members change, its keys have to.

use serde_json::{Value, json};

use crate::world::{Person, Socket, World, id};

/// The rows that come in, in pairs: what happened, and that keys have to change.
async fn pair(socket: &mut Socket) -> (Value, Value) {
    let happened = socket.until("messages.new").await["data"].take();
    let rotate = socket.until("messages.new").await["data"].take();
    assert_eq!(rotate["type"], "system.e2ee.rotate_required");
    assert_eq!(rotate["content"], "E2EE sender key rotation required.");
    assert_eq!((&rotate["is_encrypted"], &rotate["ciphertext"]), (&json!(false), &json!(null)));
    (happened, rotate)
}

fn says(rotate: &Value, room: &str, who: &Person, reason: &str) -> i64 {
    let meta = &rotate["meta"];
    assert_eq!(
        (&meta["event"], &meta["room_id"], &meta["changed_member_id"], &meta["reason"]),
        (&json!("e2ee_rotate_required"), &json!(room), &json!(who.id), &json!(reason))
    );
    meta["rotation_hint_epoch"].as_i64().unwrap()
}

#[tokio::test]
async fn every_change_of_members_is_told_and_then_that_keys_have_to_change() {
    let world = World::start().await;
    let [alice, bob, carol] = world.people(["alice", "bob", "carol"]);
    let body = json!({ "name": "a", "encryption_mode": 2, "is_community": true });
    let room = id(&alice.post("/api/chat", body).await.good());
    let mut socket = alice.connect().await;
    alice.bring(&room, &bob).await;
    let own = bob.membership(&room).await;
    let (joined, rotate) = pair(&mut socket).await;
    assert_eq!(joined["type"], "system.member.joined");
    let meta = json!({ "event": "member_joined", "member_id": own["id"], "account_id": bob.id });
    assert_eq!(joined["meta"], meta);
    assert_eq!((&rotate["sender_id"], &joined["sender_id"]), (&own["id"], &own["id"]));
    assert_eq!(rotate["meta"]["changed_chat_member_id"], own["id"]);
    let mut hints = vec![says(&rotate, &room, &bob, "member_joined")];

    let me = format!("/api/chat/{room}/members/me");
    carol.poke(&me).await.good();
    let (_, rotate) = pair(&mut socket).await;
    hints.push(says(&rotate, &room, &carol, "member_joined"));
    let mut leaves = carol.connect().await;
    carol.delete(&me).await.is(204);
    assert_eq!(leaves.all().await, Vec::<Value>::new(), "whoever is gone hears neither");
    let (left, rotate) = pair(&mut socket).await;
    assert_eq!(
        (&left["type"], &left["meta"]["reason"]),
        (&json!("system.member.left"), &json!("left"))
    );
    hints.push(says(&rotate, &room, &carol, "member_left"));
    carol.poke(&me).await.good();
    let (_, rotate) = pair(&mut socket).await;
    hints.push(says(&rotate, &room, &carol, "member_joined"));

    let mut removed = bob.connect().await;
    alice.delete(&format!("/api/chat/{room}/members/{}", bob.id)).await.is(204);
    let (left, rotate) = pair(&mut socket).await;
    let meta = json!({
        "event": "member_left", "member_id": own["id"], "account_id": bob.id, "reason": "removed",
        "operator_member_id": alice.membership(&room).await["id"], "operator_account_id": alice.id,
    });
    assert_eq!(left["meta"], meta);
    assert_eq!(rotate["sender"]["account_id"], alice.id);
    hints.push(says(&rotate, &room, &bob, "member_removed"));
    assert!(hints.is_sorted_by(|one, two| one < two), "{hints:?}");
    // Whoever is gone hears neither.
    assert_eq!(removed.all().await, Vec::<Value>::new());
    // And both kinds of rows are in the timeline.
    let rows = alice.rows(&room, 0).await;
    let count = |kind: &str| rows.iter().filter(|row| row["type"] == kind).count();
    assert_eq!(count("system.e2ee.rotate_required"), 5);
}

#[tokio::test]
async fn nothing_else_makes_keys_change() {
    let world = World::start().await;
    let [alice, bob, carol] = world.people(["alice", "bob", "carol"]);
    let room = alice.group(2, &[&bob]).await;
    let before = alice.rows(&room, 0).await.len();
    let invite = format!("/api/chat/invites/{room}");
    alice.post(&invite, json!({ "related_user_id": carol.id })).await.good();
    carol.poke(&format!("{invite}/decline")).await.is(204);
    alice.post(&invite, json!({ "related_user_id": carol.id })).await.good();
    alice.delete(&format!("/api/chat/{room}/members/{}", carol.id)).await.is(204);
    carol.poke(&format!("{invite}/accept")).await.is(404);
    let timeout = format!("/api/chat/{room}/members/{}/timeout", bob.id);
    alice.post(&timeout, json!({ "timeout_until": "2100-01-01T00:00:00Z" })).await.is(204);
    let notify = format!("/api/chat/{room}/members/me/notify");
    bob.patch(&notify, json!({ "notify_level": 1 })).await.good();
    assert_eq!(alice.rows(&room, 0).await.len(), before);
}

#[tokio::test]
async fn rooms_without_sender_keys_tell_of_members_only() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    for room in [alice.direct(1, &bob).await, alice.group(0, &[&bob]).await] {
        let rows = alice.rows(&room, 0).await;
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert_eq!(rows[0]["type"], "system.member.joined");
    }
}
