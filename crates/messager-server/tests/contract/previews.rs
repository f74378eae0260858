//! Where the server does not go, whoever sends it there.

use std::time::Duration;

use serde_json::json;
use tokio::{net::TcpListener, time::timeout};

use crate::world::{PATIENCE, Person, World};

/// Waits until so many links were given up.
async fn given_up(who: &Person, count: usize) {
    let line = format!("messager_previews_failed_total {count}");
    let waiting = async {
        while !who.get("/metrics").await.text.lines().any(|found| found == line) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap();
}

#[tokio::test]
async fn a_link_never_leads_the_server_into_its_own_network() {
    let world = World::with(|settings| settings.link_previews = true).await;
    let alice = world.person("alice");
    let room = alice.group(0, &[]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let content = format!("http://127.0.0.1:{port}/ http://localhost:{port}/ http://[::1]:{port}/");
    let said = alice.say(&room, &content).await;
    given_up(&alice, 3).await;
    let message = format!("/api/chat/{room}/messages/{}", said["id"].as_str().unwrap());
    let edit = json!({ "content": format!("http://0.0.0.0:{port}/ http://2130706433:{port}/") });
    alice.patch(&message, edit).await.good();
    given_up(&alice, 5).await;
    let came = timeout(Duration::ZERO, listener.accept()).await;
    assert!(came.is_err(), "somebody was asked");
    let kinds: Vec<_> = alice.rows(&room, 0).await.iter().map(|row| row["type"].clone()).collect();
    assert_eq!(kinds, ["text", "messages.update"]);
}

#[tokio::test]
async fn links_are_looked_at_only_if_that_is_turned_on() {
    let world = World::start().await;
    let alice = world.person("alice");
    let room = alice.group(0, &[]).await;
    alice.say(&room, "http://127.0.0.1:1/").await;
    given_up(&alice, 0).await;
}
