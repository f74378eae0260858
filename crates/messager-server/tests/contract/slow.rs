//! Clients that are slow, silent, or too many.

use std::time::Duration;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::world::{PATIENCE, Person, World, sealed, with};

/// Short enough to wait for, and long enough for everything that is meant to go well.
const SHORT: Duration = Duration::from_millis(500);

async fn impatient() -> World {
    World::with(|settings| settings.patience = SHORT).await
}

/// Sends a letter now and then for ever, and gives what the server said until it hung up.
async fn dribble(stream: TcpStream, begin: &str) -> String {
    let (mut from, mut to) = stream.into_split();
    to.write_all(begin.as_bytes()).await.unwrap();
    let dribbling = async {
        let mut now_and_then = tokio::time::interval(SHORT / 10);
        loop {
            now_and_then.tick().await;
            if to.write_all(b"x").await.is_err() {
                return std::future::pending().await;
            }
        }
    };
    let mut said = Vec::new();
    let hearing = async {
        // The end may be a reset: something of ours was on its way.
        drop(from.read_to_end(&mut said).await);
    };
    let ended = async {
        tokio::select! {
            () = hearing => {}
            never = dribbling => never,
        }
    };
    timeout(PATIENCE, ended).await.expect("the server waits for ever");
    String::from_utf8(said).unwrap()
}

#[tokio::test]
async fn headers_that_never_end_are_not_waited_for() {
    let world = impatient().await;
    dribble(world.dial().await, "GET /healthz HTTP/1.1\r\nhost: ").await;
    world.counts("connections", 1).await;
}

#[tokio::test]
async fn a_body_that_never_ends_is_not_waited_for() {
    let world = impatient().await;
    let alice = world.person("alice");
    let begin = format!(
        "POST /api/chat HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 60000\r\n\r\n",
        alice.token
    );
    let said = dribble(world.dial().await, &begin).await;
    assert!(said.starts_with("HTTP/1.1 503 "), "{said}");
    world.counts("connections", 1).await;
}

#[tokio::test]
async fn a_connection_that_asks_for_nothing_is_closed() {
    let world = impatient().await;
    let mut silent = world.dial().await;
    let read = timeout(PATIENCE, silent.read_u8()).await.expect("the server waits for ever");
    read.unwrap_err();
}

#[tokio::test]
async fn an_answer_that_nobody_takes_is_given_up() {
    // Time enough to make the answer, and to see that it is not taken.
    let world = World::with(|settings| settings.patience = SHORT * 10).await;
    let alice = world.person("alice");
    let room = alice.group(2, &[]).await;
    // More than a connection of this computer holds.
    let large = "A".repeat(64 * 1024 / 3 * 4);
    let body = json!({ "ciphertext": large, "encryption_header": large });
    for _ in 0..60 {
        alice.send(&room, with(sealed("content.new"), body.clone())).await.good();
    }
    let mut greedy = world.dial_narrow().await;
    let begin = format!(
        "GET /api/chat/{room}/messages?take=500&tk={} HTTP/1.1\r\nhost: a\r\n\
         x-client-ability: chat-e2ee-v1\r\n\r\n",
        alice.token
    );
    greedy.write_all(begin.as_bytes()).await.unwrap();
    world.counts("connections", 2).await;
    world.counts("connections", 1).await;
}

#[tokio::test]
async fn a_silent_socket_is_asked_and_stays_if_it_answers() {
    let world = World::with(|settings| settings.keepalive = SHORT / 5).await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let (mut there, gone) = (alice.connect().await, bob.connect().await);
    // Whoever reads answers pings; the other does neither.
    for _ in 0..10 {
        there.asked().await;
    }
    world.counts("sockets", 1).await;
    there.asked().await;
    assert_eq!(there.all().await.len(), 0);
    drop(gone);
}

async fn connected(world: &World, count: usize) -> Vec<(Person, crate::world::Socket)> {
    let mut connected = Vec::new();
    for _ in 0..count {
        let person = world.person("alice");
        let socket = person.connect().await;
        connected.push((person, socket));
    }
    connected
}

#[tokio::test]
async fn an_account_has_32_sockets_and_then_its_oldest_is_closed() {
    let world = World::start().await;
    let bob = world.person("bob");
    let mut other = bob.connect().await;
    let mut sockets = connected(&world, 33).await;
    assert_eq!(sockets[0].1.next().await, Err(Some(1008)));
    assert_eq!(sockets[1].1.all().await.len(), 0);
    assert_eq!(other.all().await.len(), 0);
    world.counts("sockets", 33).await;
}

#[tokio::test]
async fn a_server_full_of_sockets_still_answers_requests() {
    let world = World::with(|settings| settings.connections = 4).await;
    let mut sockets = connected(&world, 3).await;
    let bob = world.person("bob");
    assert_eq!(bob.connect_as("").await.unwrap_err(), 503);
    bob.get("/api/accounts/me").await.good();
    drop(sockets.pop());
    world.counts("sockets", 2).await;
    bob.connect().await;
}

#[tokio::test]
async fn whoever_finds_no_place_waits_for_one() {
    let world = World::with(|settings| {
        settings.connections = 4;
        settings.patience = SHORT;
    })
    .await;
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(world.dial().await);
    }
    // Until one of them is closed.
    assert_eq!(world.stranger().get("/healthz").await.is(200), "ok\n");
}
