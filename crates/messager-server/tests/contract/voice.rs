//! Voice clips.

use serde_json::json;

use crate::world::{World, id};

#[tokio::test]
async fn a_clip_answers_and_hands_on_what_its_sender_can_see() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let (room, own) = (alice.group(0, &[&bob]).await, alice.group(0, &[]).await);
    let said = id(&alice.say(&room, "hello").await);
    let hidden = id(&alice.say(&own, "secret").await);
    let fields = [("RepliedMessageId", said.as_str()), ("ForwardedMessageId", "")];
    let sent = bob.speak(&room, &fields).await.good();
    assert_eq!((&sent["replied_message_id"], &sent["type"]), (&json!(said), &json!("voice")));
    assert_eq!(sent["forwarded_message_id"], json!(null));
    let path = format!("/api/chat/{room}/messages/{}", id(&sent));
    assert_eq!(alice.get(&path).await.good()["replied_message"]["content"], "hello");
    // Names of fields in any case, as everywhere.
    let sent = alice.speak(&room, &[("forwardedmessageid", &hidden)]).await.good();
    assert_eq!(sent["forwarded_message"]["content"], "secret");
    for name in ["RepliedMessageId", "ForwardedMessageId"] {
        let text = bob.speak(&room, &[(name, &hidden)]).await.is(400);
        assert!(text.ends_with("does not exist."), "{text}");
        let answer = bob.speak(&room, &[(name, "x")]).await;
        assert!(answer.json()["errors"][name].is_array(), "{}", answer.text);
        answer.is(400);
    }
    world.holds("SELECT count(*) FROM voices", 2).await;
}

#[tokio::test]
async fn whoever_is_timed_out_learns_that_before_that_the_room_takes_no_clips() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let room = alice.group(2, &[&bob]).await;
    let timeout = format!("/api/chat/{room}/members/{}/timeout", bob.id);
    alice.post(&timeout, json!({ "timeout_until": "2100-01-01T00:00:00Z" })).await.is(204);
    for who in [&bob, &bob.unable()] {
        let text = who.speak(&room, &[]).await.is(403);
        assert_eq!(text, "You have been timed out in this chat.");
    }
    alice.delete(&timeout).await.is(204);
    bob.unable().speak(&room, &[]).await.breaks("chat.e2ee_voice_not_supported_v1");
}

#[tokio::test]
async fn a_clip_is_not_edited() {
    let world = World::start().await;
    let alice = world.person("alice");
    let room = alice.group(0, &[]).await;
    let path = format!("/api/chat/{room}/messages/{}", id(&alice.speak(&room, &[]).await.good()));
    let text = alice.patch(&path, json!({ "content": "a" })).await.is(400);
    assert_eq!(text, "Only text messages can be edited.");
}
