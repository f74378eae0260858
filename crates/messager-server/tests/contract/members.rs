//! Who is in a room.

use serde_json::{Value, json};

use crate::world::{World, id};

#[tokio::test]
async fn a_list_of_members_has_those_who_are_invited_and_not_those_who_left() {
    let world = World::start().await;
    let [alice, bob, carol, dave] = world.people(["alice", "bob", "carol", "dave"]);
    let room = alice.group(2, &[&bob, &dave]).await;
    let path = format!("/api/chat/{room}/members");
    let body = json!({ "related_user_id": carol.id });
    alice.post(&format!("/api/chat/invites/{room}"), body).await.good();
    dave.delete(&format!("{path}/me")).await.is(204);
    let answer = bob.get(&format!("{path}?take=2&offset=1&withStatus=true")).await;
    assert_eq!(answer.headers["x-total"], "3");
    let names: Vec<_> = answer
        .good()
        .as_array()
        .unwrap()
        .iter()
        .map(|member| (member["account"]["name"].clone(), member["joined_at"].is_null()))
        .collect();
    assert_eq!(names, [(json!("bob"), false), (json!("carol"), true)]);
    carol.get(&path).await.is(403);
    dave.get(&path).await.is(403);
    world.stranger().get(&path).await.is(401);
    let body = json!({ "name": "a", "is_public": true });
    let open = id(&alice.post("/api/chat", body).await.good());
    world.stranger().get(&format!("/api/chat/{open}/members")).await.good();
    let _socket = bob.connect().await;
    assert_eq!(bob.get(&format!("{path}/online")).await.good(), 1);
}

#[tokio::test]
async fn an_invitation_is_accepted_once() {
    let world = World::start().await;
    let [alice, bob, carol] = world.people(["alice", "bob", "carol"]);
    let room = alice.group(0, &[]).await;
    let invite = format!("/api/chat/invites/{room}");
    let whom = json!({ "related_user_id": bob.id });
    carol.post(&invite, whom.clone()).await.is(403);
    let nobody = json!({ "related_user_id": "0198c0de-0000-7000-8000-000000000001" });
    alice.post(&invite, nobody).await.is(404);
    bob.poke(&format!("{invite}/accept")).await.is(404);
    let member = alice.post(&invite, whom.clone()).await.good();
    assert_eq!((&member["joined_at"], &member["invited_by_id"]), (&json!(null), &json!(alice.id)));
    let invitations = bob.get("/api/chat/invites").await.good();
    assert_eq!(invitations[0]["chat_room"]["name"], "the group");
    bob.get(&format!("/api/chat/{room}/members/me")).await.is(404);
    assert_eq!(bob.poke(&format!("{invite}/accept")).await.good()["id"], member["id"]);
    bob.poke(&format!("{invite}/accept")).await.is(404);
    assert_eq!(bob.get("/api/chat/invites").await.good(), json!([]));
    assert_eq!(bob.membership(&room).await["id"], member["id"]);
}

#[tokio::test]
async fn whoever_is_invited_hears_of_it_and_nobody_else_does() {
    let world = World::start().await;
    let [alice, bob, carol] = world.people(["alice", "bob", "carol"]);
    let phone = world.person("bob");
    let room = alice.group(2, &[&carol]).await;
    let (mut own, mut other) = (alice.connect().await, carol.connect().await);
    let mut invited = [bob.connect().await, phone.connect().await];
    let whom = json!({ "related_user_id": bob.id });
    alice.post(&format!("/api/chat/invites/{room}"), whom.clone()).await.good();
    alice.post("/api/chat/direct", whom).await.good();
    let list = bob.get("/api/chat/invites").await.good();
    assert_eq!(list.as_array().unwrap().len(), 2);
    for socket in &mut invited {
        let packets = socket.all().await;
        let data: Vec<Value> = packets.iter().map(|packet| packet["data"].clone()).collect();
        assert_eq!(json!(data), list, "in the order in which they came");
        assert!(packets.iter().all(|packet| packet["type"] == "invites.chats"));
    }
    for socket in [&mut own, &mut other] {
        assert_eq!(socket.all().await, Vec::<Value>::new());
    }
    // An invitation that is refused is none.
    let body = json!({ "related_user_id": carol.id });
    alice.post(&format!("/api/chat/invites/{room}"), body).await.is(400);
    assert_eq!(other.all().await, Vec::<Value>::new());
}

#[tokio::test]
async fn an_active_member_is_not_invited_again_and_stays_one() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let room = alice.group(2, &[&bob]).await;
    let body = json!({ "related_user_id": bob.id });
    alice.post(&format!("/api/chat/invites/{room}"), body).await.is(400);
    assert!(!bob.membership(&room).await["joined_at"].is_null());
}

#[tokio::test]
async fn whoever_declined_can_be_invited_again() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let room = alice.group(2, &[]).await;
    let invite = format!("/api/chat/invites/{room}");
    for _ in 0..2 {
        alice.post(&invite, json!({ "related_user_id": bob.id })).await.good();
        bob.poke(&format!("{invite}/decline")).await.is(204);
        bob.poke(&format!("{invite}/decline")).await.is(404);
        bob.poke(&format!("{invite}/accept")).await.is(404);
    }
    alice.bring(&room, &bob).await;
    bob.membership(&room).await;
}

#[tokio::test]
async fn one_row_is_kept_for_whoever_comes_and_goes() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let room = alice.group(0, &[&bob]).await;
    let first = bob.membership(&room).await;
    let said = bob.say(&room, "hello").await;
    assert_eq!(said["sender_id"], first["id"], "a sender is a membership");
    assert_eq!(said["sender"]["account_id"], bob.id);
    bob.delete(&format!("/api/chat/{room}/members/me")).await.is(204);
    bob.delete(&format!("/api/chat/{room}/members/me")).await.is(404);
    alice.bring(&room, &bob).await;
    assert_eq!(bob.membership(&room).await["id"], first["id"]);
}

#[tokio::test]
async fn a_community_is_joined_without_an_invitation_and_not_with_one() {
    let world = World::start().await;
    let [alice, bob, carol] = world.people(["alice", "bob", "carol"]);
    let body = json!({ "name": "a", "is_community": true, "encryption_mode": 2 });
    let room = id(&alice.post("/api/chat", body).await.good());
    let me = format!("/api/chat/{room}/members/me");
    let answer = bob.poke(&me).await.good();
    assert_eq!((&answer["id"], &answer["name"]), (&json!(room), &json!("a")), "the room");
    bob.poke(&me).await.is(400);
    bob.delete(&me).await.is(204);
    assert_eq!(bob.poke(&me).await.good()["account_id"], bob.id, "the membership");
    let body = json!({ "related_user_id": carol.id });
    alice.post(&format!("/api/chat/invites/{room}"), body).await.good();
    carol.poke(&me).await.is(400);
    let closed = alice.group(0, &[]).await;
    carol.poke(&format!("/api/chat/{closed}/members/me")).await.is(403);
    let nowhere = "/api/chat/0198c0de-0000-7000-8000-000000000001/members/me";
    carol.poke(nowhere).await.is(404);
}

#[tokio::test]
async fn a_direct_chat_is_no_community_and_nobody_joins_it() {
    let world = World::start().await;
    let [alice, bob, carol] = world.people(["alice", "bob", "carol"]);
    for mode in [0, 1] {
        let room = alice.direct(mode, &bob).await;
        let path = format!("/api/chat/{room}");
        let open = json!({ "name": "ours", "is_community": true });
        for who in [&alice, &bob] {
            let text = who.patch(&path, open.clone()).await.is(400);
            assert!(text.contains("is_community"), "{text}");
        }
        alice.patch(&path, json!({ "name": "ours", "is_community": false })).await.good();
        // Nor if it was made one before that was refused.
        world.tables().execute("UPDATE rooms SET is_community = 1", []).unwrap();
        carol.poke(&format!("{path}/members/me")).await.is(403);
        let members = alice.get(&format!("{path}/members")).await.good();
        assert_eq!(members.as_array().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn the_owner_cannot_leave_and_only_the_owner_removes_others_from_a_group() {
    let world = World::start().await;
    let [alice, bob, carol] = world.people(["alice", "bob", "carol"]);
    let room = alice.group(0, &[&bob, &carol]).await;
    let member = |id: &str| format!("/api/chat/{room}/members/{id}");
    alice.delete(&member("me")).await.is(400);
    bob.delete(&member(&carol.id)).await.is(403);
    alice.delete(&member(&alice.id)).await.is(400);
    alice.delete(&member(&carol.id)).await.is(204);
    alice.delete(&member(&carol.id)).await.is(404);
    carol.send(&room, json!({ "content": "a" })).await.is(403);
    let direct = alice.direct(0, &bob).await;
    bob.delete(&format!("/api/chat/{direct}/members/{}", alice.id)).await.is(204);
}

#[tokio::test]
async fn who_is_timed_out_writes_nothing_until_then() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let room = alice.group(0, &[&bob]).await;
    let said = bob.say(&room, "before").await;
    let timeout = format!("/api/chat/{room}/members/{}/timeout", bob.id);
    let until =
        |year| json!({ "reason": "noise", "timeout_until": format!("{year}-01-01T00:00:00Z") });
    bob.post(&timeout, until(2100)).await.is(403);
    alice.post(&timeout, until(2100)).await.is(204);
    let own = bob.membership(&room).await;
    assert_eq!(own["timeout_until"], "2100-01-01T00:00:00.000Z");
    assert_eq!(own["timeout_cause"]["reason"], "noise");
    let message = format!("/api/chat/{room}/messages/{}", id(&said));
    bob.send(&room, json!({ "content": "a" })).await.is(403);
    bob.patch(&message, json!({ "content": "a" })).await.is(403);
    alice.post(&timeout, until(2001)).await.is(204);
    bob.say(&room, "that was long ago").await;
    alice.post(&timeout, until(2100)).await.is(204);
    alice.delete(&timeout).await.is(204);
    bob.say(&room, "after").await;
}

#[tokio::test]
async fn a_member_chooses_what_to_be_told() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let room = alice.group(0, &[]).await;
    let notify = format!("/api/chat/{room}/members/me/notify");
    let body = json!({ "notify_level": 2, "break_until": "2100-01-01T00:00:00Z" });
    let member = alice.patch(&notify, body).await.good();
    assert_eq!((&member["notify"], member["break_until"].is_string()), (&json!(2), true));
    alice.patch(&notify, json!({ "notify_level": 3 })).await.is(400);
    bob.patch(&notify, json!({})).await.is(404);
}
