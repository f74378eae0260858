//! Devices that whoever runs the server has revoked.

use serde_json::{Value, json};

use crate::world::{World, enroll, fanout};

#[tokio::test]
async fn a_revoked_device_is_out_at_once_and_the_others_of_its_account_stay() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let phone = world.person("alice");
    let room = bob.group(0, &[&alice]).await;
    for device in [&alice, &phone] {
        enroll(device).await;
    }
    let (mut stays, mut goes) = (alice.connect().await, phone.connect().await);
    let mut watch = phone.connect_as("&deviceAlt=watch").await.unwrap();
    phone.revoke(&world, "alice");
    phone.get("/api/accounts/me").await.is(401);
    assert_eq!(phone.connect_as("").await.unwrap_err(), 401);
    // Nothing that is written from now on reaches it.
    bob.say(&room, "are they gone?").await;
    for socket in [&mut goes, &mut watch] {
        assert_eq!(socket.next().await, Err(Some(1008)));
    }
    assert_eq!(stays.until("messages.new").await["data"]["content"], "are they gone?");
    // Its keys are given to nobody, and nobody can encrypt for it.
    let listed = bob.get(&format!("/api/e2ee/keys/{}/devices", alice.id)).await.good();
    assert_eq!((&listed[0]["device_id"], &listed[1]), (&json!(alice.device), &Value::Null));
    let both = fanout(&alice, &[&alice.device, &phone.device]);
    let answer = bob.post("/api/e2ee/messages/fanout", both).await;
    assert_eq!(answer.json()["unknown"], json!([phone.device]));
    answer.breaks("e2ee.fanout_devices_mismatch");
}

#[tokio::test]
async fn a_revoked_socket_is_closed_while_nobody_writes() {
    let world = World::start().await;
    let alice = world.person("alice");
    let mut socket = alice.connect().await;
    alice.revoke(&world, "alice");
    assert_eq!(socket.next().await, Err(Some(1008)));
}

#[tokio::test]
async fn a_revoked_socket_does_nothing_any_more() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let room = bob.group(0, &[&alice]).await;
    let rows = bob.rows(&room, 0).await.len();
    let mut socket = alice.connect().await;
    alice.revoke(&world, "alice");
    let body = json!({ "chat_room_id": room, "content": "still here" });
    socket.tell("messages.send", body).await;
    assert_eq!(socket.next().await, Err(Some(1008)));
    assert_eq!(bob.rows(&room, 0).await.len(), rows);
}
