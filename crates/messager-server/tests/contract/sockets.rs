//! The websocket.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

use crate::world::{World, sealed, with};

#[tokio::test]
async fn every_socket_of_every_active_member_gets_each_row_in_one_order() {
    let world = World::start().await;
    let [alice, bob, carol] = world.people(["alice", "bob", "carol"]);
    let phone = world.person("alice");
    assert_eq!((&phone.id, phone.device != alice.device), (&alice.id, true));
    let room = alice.group(2, &[&bob]).await;
    let body = json!({ "related_user_id": carol.id });
    alice.post(&format!("/api/chat/invites/{room}"), body).await.good();
    let mut sockets = Vec::new();
    for member in [&alice, &phone, &bob] {
        sockets.push(member.connect().await);
    }
    let mut invited = carol.connect().await;
    let mut sends = tokio::task::JoinSet::new();
    for number in 0..30 {
        let (sender, room) = ([&alice, &bob][number % 2].clone(), room.clone());
        sends.spawn(async move { sender.send(&room, sealed("content.new")).await.good() });
    }
    while let Some(sent) = sends.join_next().await {
        sent.unwrap();
    }
    let rows: Vec<Value> =
        alice.rows(&room, 0).await.into_iter().skip(2).map(|row| row["id"].clone()).collect();
    assert_eq!(rows.len(), 30);
    for socket in &mut sockets {
        let packets = socket.all().await;
        let ids: Vec<Value> = packets.iter().map(|packet| packet["data"]["id"].clone()).collect();
        assert_eq!(ids, rows);
    }
    assert_eq!(invited.all().await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_device_that_connects_again_keeps_the_newer_socket() {
    let world = World::start().await;
    let alice = world.person("alice");
    let mut older = alice.connect().await;
    let mut watch = alice.connect_as("&deviceAlt=watch").await.unwrap();
    let mut newer = alice.connect().await;
    assert_eq!(older.next().await, Err(Some(1000)));
    let room = alice.group(0, &[]).await;
    alice.say(&room, "hello").await;
    for socket in [&mut watch, &mut newer] {
        assert_eq!(socket.until("messages.new").await["data"]["content"], "hello");
    }
    assert_eq!(alice.connect_as("&deviceAlt=phone").await.unwrap_err(), 400);
}

#[tokio::test]
async fn a_packet_that_nobody_understands_is_answered_with_an_error() {
    let world = World::start().await;
    let alice = world.person("alice");
    let mut socket = alice.connect().await;
    let says = |packet: Value| packet["error_message"].as_str().unwrap().to_owned();
    socket.packet(json!({ "type": "nonsense" })).await;
    assert_eq!(says(socket.until("error").await), "Unprocessable packet: nonsense");
    // Those of the service need its name.
    socket.packet(json!({ "type": "messages.read", "data": {} })).await;
    assert_eq!(says(socket.until("error").await), "Unprocessable packet: messages.read");
    socket.tell("messages.read", json!({ "chat_room_id": 5 })).await;
    assert_eq!(says(socket.until("error").await), "Invalid request data");
    let room = json!({ "chat_room_id": "0198c0de-0000-7000-8000-000000000001" });
    for kind in ["messages.read", "messages.typing", "messages.subscribe"] {
        socket.tell(kind, room.clone()).await;
        let text = says(socket.until("error").await);
        assert_eq!(text, "User is not a member of the chat room.");
    }
    for frame in [Message::text("{"), Message::text("[]"), Message::binary(vec![255, 0])] {
        socket.raw(frame).await;
        socket.until("error").await;
    }
    // Both opcodes are taken.
    socket.raw(Message::binary(br#"{"type":"ping"}"#.to_vec())).await;
    assert_eq!(socket.next().await.unwrap()["type"], "pong");
}

#[tokio::test]
async fn a_packet_of_more_than_256_kib_is_refused_and_the_socket_stays() {
    let world = World::start().await;
    let alice = world.person("alice");
    let mut socket = alice.connect().await;
    let ping = |length: usize| json!({ "type": "ping", "data": "x".repeat(length) }).to_string();
    socket.raw(Message::text(ping(200 * 1024))).await;
    assert_eq!(socket.next().await.unwrap()["type"], "pong");
    socket.raw(Message::text(ping(300 * 1024))).await;
    assert_eq!(socket.next().await.unwrap()["type"], "error");
    assert_eq!(socket.all().await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_packet_in_several_frames_is_one() {
    let world = World::start().await;
    let alice = world.person("alice");
    let mut socket = alice.connect().await;
    let part = |bytes: &'static [u8], code, is_last| {
        Message::Frame(Frame::message(bytes, OpCode::Data(code), is_last))
    };
    for kind in [Data::Text, Data::Binary] {
        socket.raw(part(b"{\"type\":", kind, false)).await;
        socket.raw(part(b" \"pi", Data::Continue, false)).await;
        socket.raw(part(b"ng\"}", Data::Continue, true)).await;
        assert_eq!(socket.next().await.unwrap()["type"], "pong");
    }
    assert_eq!(socket.all().await, Vec::<Value>::new());
}

#[tokio::test]
async fn reading_is_noted_over_the_socket() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let room = alice.group(0, &[&bob]).await;
    alice.say(&room, "hello").await;
    assert_eq!(bob.get("/api/chat/unread").await.good(), 2);
    let mut socket = bob.connect().await;
    socket.tell("messages.read", json!({ "chat_room_id": room })).await;
    assert_eq!(socket.all().await, Vec::<Value>::new());
    assert_eq!(bob.get("/api/chat/unread").await.good(), 0);
    alice.say(&room, "again").await;
    assert_eq!(bob.get("/api/chat/unread").await.good(), 1);
    let summary = bob.get("/api/chat/summary").await.good();
    assert_eq!(summary[&room]["unread_count"], 1);
}

#[tokio::test]
async fn typing_is_seen_by_others_who_look_at_the_room() {
    let world = World::start().await;
    let [alice, bob, carol] = world.people(["alice", "bob", "carol"]);
    let room = alice.group(2, &[&bob, &carol]).await;
    let data = json!({ "chat_room_id": room });
    let (mut typing, mut looking, mut other) =
        (alice.connect().await, bob.connect().await, carol.connect().await);
    for socket in [&mut typing, &mut looking] {
        socket.tell("messages.subscribe", data.clone()).await;
        assert_eq!(socket.all().await, Vec::<Value>::new());
    }
    typing.tell("messages.typing", data.clone()).await;
    let seen = looking.until("messages.typing").await["data"].take();
    assert_eq!(
        (&seen["room_id"], &seen["sender"]["account"]["name"]),
        (&json!(room), &json!("alice"))
    );
    assert_eq!(typing.all().await, Vec::<Value>::new());
    assert_eq!(other.all().await, Vec::<Value>::new());
    looking.tell("messages.unsubscribe", data.clone()).await;
    assert_eq!(looking.all().await, Vec::<Value>::new());
    typing.tell("messages.typing", data).await;
    typing.all().await;
    assert_eq!(looking.all().await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_message_over_the_socket_obeys_the_same_rules() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let room = alice.group(2, &[&bob]).await;
    let body =
        with(sealed("content.new"), json!({ "chat_room_id": room, "client_message_id": "c1" }));
    let (mut socket, mut other) = (alice.connect().await, bob.connect().await);
    socket.tell("messages.send", body.clone()).await;
    let sent = socket.until("messages.delivered").await["data"].take();
    assert_eq!((&sent["client_message_id"], &sent["type"]), (&json!("c1"), &json!("text")));
    assert_eq!(other.until("messages.new").await["data"]["id"], sent["id"]);
    // The same message by the other way.
    let mut again = body.clone();
    again.as_object_mut().unwrap().remove("chat_room_id");
    assert_eq!(alice.send(&room, again).await.good()["id"], sent["id"]);
    let plain = json!({ "chat_room_id": room, "content": "hello", "client_message_id": "c2" });
    socket.tell("messages.send", plain).await;
    let refused = socket.until("error").await;
    let data = json!({ "code": "chat.e2ee_payload_required", "client_message_id": "c2" });
    assert_eq!(refused["data"], data);
    // The ability is that of the upgrade.
    let mut unable = world.person("bob").unable().connect().await;
    unable.tell("messages.send", body).await;
    assert_eq!(unable.until("error").await["data"]["code"], "chat.e2ee_required");
}

#[tokio::test]
async fn a_server_that_stops_closes_its_sockets_and_answers_what_is_under_way() {
    let world = World::start().await;
    let alice = world.person("alice");
    let room = alice.group(0, &[]).await;
    let mut socket = alice.connect().await;
    let mut sends = tokio::task::JoinSet::new();
    for number in 0..20 {
        let (alice, room) = (alice.clone(), room.clone());
        sends.spawn(async move { alice.say(&room, &number.to_string()).await });
    }
    for _ in 0..20 {
        socket.until("messages.new").await;
    }
    let folder = world.stop().await;
    while let Some(sent) = sends.join_next().await {
        sent.unwrap();
    }
    assert_eq!(socket.next().await, Err(Some(1001)));
    let connection = rusqlite::Connection::open(folder.path().join("messager.db")).unwrap();
    let count = "SELECT count(*) FROM messages";
    assert_eq!(connection.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap(), 20);
}
