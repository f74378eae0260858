//! Tokens, and what refusals look like.

use reqwest::{Method, header};
use serde_json::{Value, json};

use crate::world::{World, ask};

#[tokio::test]
async fn a_token_counts_in_the_address_in_the_header_and_in_a_cookie() {
    let world = World::start().await;
    let (alice, stranger) = (world.person("alice"), world.stranger());
    let me = |request: reqwest::RequestBuilder| async {
        let answer = ask(request).await;
        (answer.status, answer.json()["id"].clone())
    };
    let found = (200, Value::from(alice.id.as_str()));
    let path = format!("/api/accounts/me?TK={}", alice.token);
    assert_eq!(me(stranger.request(Method::GET, &path)).await, found);
    for scheme in ["Bearer", "AtField", "AkField"] {
        let request = stranger.request(Method::GET, "/id/accounts/me");
        let request = request.header(header::AUTHORIZATION, format!("{scheme} {}", alice.token));
        assert_eq!(me(request).await, found, "{scheme}");
    }
    let request = stranger.request(Method::GET, "/api/accounts/me");
    let request = request.header(header::COOKIE, format!("a=b; AuthToken={}", alice.token));
    assert_eq!(me(request).await, found);
    let path = format!("/api/accounts/me?tk=wrong{}", alice.token);
    assert_eq!(alice.get(&path).await.status, 401, "the one in the address counts");
}

#[tokio::test]
async fn without_a_token_the_answer_is_401_and_empty() {
    let world = World::start().await;
    let stranger = world.stranger();
    for path in ["/api/chat", "/api/chat/summary", "/api/e2ee/keys/me", "/api/chat/invites"] {
        let answer = stranger.get(path).await;
        assert_eq!((answer.status, answer.text.as_str()), (401, ""), "{path}");
    }
    assert_eq!(stranger.connect_as("").await.unwrap_err(), 401);
}

#[tokio::test]
async fn an_account_knows_its_device_and_finds_others_by_name() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "Bob"]);
    let me = alice.get("/api/accounts/me").await.good();
    assert_eq!((&me["device_id"], &me["name"]), (&json!(alice.device), &json!("alice")));
    let found = alice.get("/api/accounts/BOB").await.good();
    assert_eq!((&found["id"], &found["name"]), (&json!(bob.id), &json!("Bob")));
    alice.get("/api/accounts/nobody").await.is(404);
    world.stranger().get("/api/accounts/bob").await.is(401);
}

#[tokio::test]
async fn texts_are_in_quotes_for_those_who_want_json() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let room = alice.group(0, &[]).await;
    let path = format!("/api/chat/{room}/messages");
    let request = || bob.request(Method::POST, &path).json(&json!({ "content": "hello" }));
    let text = "You need to be a member to send messages here.";
    assert_eq!(ask(request()).await.is(403), text);
    let answer = ask(request().header(header::ACCEPT, "application/json")).await;
    assert_eq!(answer.json(), json!(text));
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_with_the_id_of_the_request() {
    let world = World::start().await;
    let alice = world.person("alice");
    let request = alice.request(Method::GET, "/api/chat/0198c0de-0000-7000-8000-000000000001");
    let answer = ask(request.header("x-request-id", "my-request.1")).await;
    assert_eq!(answer.headers["x-request-id"], "my-request.1");
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    let problem = answer.json();
    assert_eq!((&problem["status"], &problem["traceId"]), (&json!(404), &json!("my-request.1")));
    // What could forge a line of the log is not taken.
    let request = alice.request(Method::GET, "/nowhere").header("x-request-id", "a b");
    let answer = ask(request).await;
    assert_eq!((answer.status, answer.headers["x-request-id"].len()), (404, 36));
    alice.get("/api/chat/not-an-id").await.is(404);
}

#[tokio::test]
async fn both_prefixes_lead_to_the_same() {
    let world = World::start().await;
    let alice = world.person("alice");
    let room = alice.group(0, &[]).await;
    for path in ["/api/chat", "/api/chat/", "/messager/chat", "/messager/chat/"] {
        assert_eq!(alice.get(path).await.good()[0]["id"], room, "{path}");
    }
    alice.get("/pass/e2ee/keys/me").await.is(404);
    alice.get("/pass/e2ee/messages/pending").await.good();
}

#[tokio::test]
async fn a_body_has_to_say_that_it_is_json() {
    let world = World::start().await;
    let alice = world.person("alice");
    let request = alice.request(Method::POST, "/api/chat").body(r#"{"name":"a"}"#);
    ask(request).await.is(415);
    let request = alice.request(Method::POST, "/api/chat").body(r#"{"name":"a"}"#);
    let request = request.header(header::CONTENT_TYPE, "application/json; charset=utf-8");
    ask(request).await.good();
}
