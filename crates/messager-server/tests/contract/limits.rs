//! How often, and what the server says about itself.

use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn whoever_sends_too_often_is_told_when_to_go_on() {
    let world = World::with(|settings| settings.writes_per_minute = 3).await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let room = alice.group(0, &[]).await;
    alice.say(&room, "1").await;
    alice.say(&room, "2").await;
    let answer = alice.send(&room, json!({ "content": "3" })).await;
    let after: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=20).contains(&after), "{after}");
    answer.is(429);
    // Over the socket it counts as well, reading does not, and others have their own.
    let mut socket = alice.connect().await;
    socket.tell("messages.send", json!({ "chat_room_id": room, "content": "4" })).await;
    let text = socket.until("error").await["error_message"].take();
    assert!(text.as_str().unwrap().starts_with("Too many"), "{text}");
    assert_eq!(alice.rows(&room, 0).await.len(), 2);
    bob.group(0, &[]).await;
}

#[tokio::test]
async fn nobody_drains_the_keys_of_another() {
    let world = World::with(|settings| settings.claims_per_minute = 2).await;
    let [alice, bob, carol] = world.people(["alice", "bob", "carol"]);
    let path = format!("/api/e2ee/keys/{}/devices", alice.id);
    for _ in 0..2 {
        bob.get(&path).await.good();
    }
    let answer = bob.get(&path).await;
    assert!(answer.headers.contains_key("retry-after"));
    answer.is(429);
    bob.get(&format!("{path}?consumeOneTimePreKey=false")).await.good();
    bob.get(&format!("/api/e2ee/keys/{}/devices", carol.id)).await.good();
    carol.get(&path).await.good();
}

#[tokio::test]
async fn health_readiness_and_metrics_need_no_token_and_name_nobody() {
    let world = World::start().await;
    let (alice, stranger) = (world.person("alice"), world.stranger());
    let room = alice.group(2, &[]).await;
    alice.send(&room, json!({})).await.is(409);
    let _socket = alice.connect().await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(stranger.get(path).await.is(200), "ok\n");
    }
    let text = stranger.get("/metrics").await.is(200);
    for line in [
        "messager_requests_total{method=\"POST\",route=\"/api/chat/{id}/messages\",status=\"409\"} 1",
        "messager_sockets 1",
        "# EOF",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    for secret in [&alice.id, &alice.token, &room, "alice"] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[tokio::test]
async fn the_document_of_the_api_is_served() {
    let world = World::start().await;
    let document = world.stranger().get("/openapi.json").await.good();
    assert_eq!(document, messager_server::openapi());
    assert_eq!(document["openapi"], "3.1.0");
}

#[tokio::test]
async fn methods_that_clients_make_up_are_counted_as_one() {
    let world = World::start().await;
    let stranger = world.stranger();
    for method in ["BREW", "WHEN"] {
        let method = method.parse().unwrap();
        crate::world::ask(stranger.request(method, "/healthz")).await.is(405);
    }
    let text = stranger.get("/metrics").await.is(200);
    let line = "messager_requests_total{method=\"other\",route=\"/healthz\",status=\"405\"} 2";
    assert!(text.lines().any(|found| found == line), "{text}");
    assert!(!text.contains("BREW"), "{text}");
}

#[tokio::test]
async fn a_method_that_a_route_does_not_have_is_refused() {
    let world = World::start().await;
    let alice = world.person("alice");
    alice.put("/api/chat/unread", json!({})).await.is(405);
}
