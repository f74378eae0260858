//! Reactions.

use serde_json::json;

use crate::world::{World, id};

#[tokio::test]
async fn a_reaction_is_told_as_a_row_and_as_the_message_and_a_second_time_taken_back() {
    let world = World::start().await;
    let [alice, bob, carol] = world.people(["alice", "bob", "carol"]);
    let room = alice.group(0, &[&bob]).await;
    let said = id(&alice.say(&room, "hello").await);
    let path = format!("/api/chat/{room}/messages/{said}/reactions");
    let heart = json!({ "symbol": "heart", "attitude": 0 });
    carol.post(&path, heart.clone()).await.is(403);
    for wrong in
        [json!({ "symbol": "rocket", "attitude": 0 }), json!({ "symbol": "heart", "attitude": 3 })]
    {
        bob.post(&path, wrong).await.is(400);
    }
    let mut socket = alice.connect().await;
    assert_eq!(bob.post(&path, heart.clone()).await.good()["symbol"], "heart");
    let packets = socket.all().await;
    let kinds: Vec<_> = packets.iter().map(|packet| packet["type"].clone()).collect();
    assert_eq!(kinds, ["messages.new", "messages.update"]);
    assert_eq!(packets[0]["data"]["type"], "messages.reaction.added");
    assert_eq!(packets[0]["data"]["meta"]["message_id"], said);
    assert_eq!(packets[1]["data"]["id"], said);
    assert_eq!(packets[1]["data"]["reactions_count"], json!({ "heart": 1 }));
    let read = bob.get(&format!("/api/chat/{room}/messages/{said}")).await.good();
    assert_eq!(read["reactions_made"], json!({ "heart": true }));
    assert_eq!(bob.post(&path, heart.clone()).await.status, 204);
    let packets = socket.all().await;
    assert_eq!(packets[0]["data"]["type"], "messages.reaction.removed");
    assert_eq!(packets[1]["data"]["reactions_count"], json!({}));
    bob.delete(&format!("{path}/heart")).await.is(404);
    bob.post(&path, heart).await.good();
    bob.delete(&format!("{path}/heart")).await.is(204);
}

#[tokio::test]
async fn reactions_in_an_encrypted_room_are_in_the_clear_and_need_no_ability() {
    let world = World::start().await;
    let alice = world.person("alice");
    let room = alice.group(2, &[]).await;
    let sent = alice.send(&room, crate::world::sealed("content.new")).await.good();
    let path = format!("/api/chat/{room}/messages/{}/reactions", id(&sent));
    alice.unable().post(&path, json!({ "symbol": "clap", "attitude": 0 })).await.good();
    let row = alice.rows(&room, 0).await.pop().unwrap();
    assert_eq!((&row["is_encrypted"], &row["meta"]["symbol"]), (&json!(false), &json!("clap")));
}
