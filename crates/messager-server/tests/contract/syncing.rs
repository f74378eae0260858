//! What is new.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::world::{Person, World, id, sealed, with};

fn millis(text: &Value) -> i64 {
    text.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

async fn sync(who: &Person, path: &str, since: i64) -> Value {
    who.post(path, json!({ "last_sync_timestamp": since })).await.good()
}

#[tokio::test]
async fn a_sync_gives_each_row_once_in_order_500_at_a_time() {
    let world = World::start().await;
    let alice = world.person("alice");
    let room = alice.group(0, &[]).await;
    let path = format!("/api/chat/{room}/sync");
    let mut sent = BTreeSet::new();
    // As fast as they go: no two may share a millisecond.
    let mut sends = tokio::task::JoinSet::new();
    for number in 0..520 {
        let (alice, room) = (alice.clone(), room.clone());
        sends.spawn(async move { id(&alice.say(&room, &number.to_string()).await) });
    }
    while let Some(id) = sends.join_next().await {
        sent.insert(id.unwrap());
    }
    let first = alice.post(&path, json!({ "last_sync_timestamp": 0 })).await;
    assert_eq!(first.headers["x-total"], "520");
    let first = first.good();
    let rows = first["messages"].as_array().unwrap();
    assert_eq!((rows.len(), &first["total_count"]), (500, &json!(520)));
    let moments: Vec<i64> = rows.iter().map(|row| millis(&row["created_at"])).collect();
    assert!(moments.is_sorted_by(|one, two| one < two), "strictly increasing");
    assert_eq!(first["current_timestamp"], rows[499]["created_at"]);
    let second = sync(&alice, &path, moments[499]).await;
    let rest = second["messages"].as_array().unwrap();
    let seen: BTreeSet<String> = rows.iter().chain(rest).map(id).collect();
    assert_eq!((rest.len(), seen), (20, sent));
    let third = sync(&alice, &path, millis(&second["current_timestamp"])).await;
    assert_eq!((&third["messages"], &third["total_count"]), (&json!([]), &json!(0)));
}

#[tokio::test]
async fn a_sync_of_all_rooms_gives_each_row_once_in_order_500_at_a_time() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let mut rooms = Vec::new();
    for _ in 0..3 {
        rooms.push(alice.group(0, &[&bob]).await);
    }
    let mut sends = tokio::task::JoinSet::new();
    for number in 0..1020 {
        let (alice, room) = (alice.clone(), rooms[number % 3].clone());
        sends.spawn(async move { id(&alice.say(&room, &number.to_string()).await) });
    }
    let mut sent = BTreeSet::new();
    while let Some(id) = sends.join_next().await {
        sent.insert(id.unwrap());
    }
    let (mut seen, mut counts, mut since) = (BTreeSet::new(), Vec::new(), 0);
    loop {
        let page = sync(&bob, "/api/chat/sync", since).await;
        let rows = page["messages"].as_array().unwrap();
        assert_eq!(page["total_count"], rows.len());
        let moments: Vec<i64> = rows.iter().map(|row| millis(&row["created_at"])).collect();
        assert!(moments.is_sorted(), "the oldest first");
        assert!(moments.first().is_none_or(|first| *first > since), "none is given again");
        let Some(last) = moments.last() else { break };
        assert_eq!(millis(&page["current_timestamp"]), *last);
        since = *last;
        counts.push(rows.len());
        for row in rows.iter().filter(|row| row["type"] == "text") {
            assert!(seen.insert(id(row)), "a row came twice");
        }
    }
    assert_eq!(seen, sent);
    // Each room has a row of whoever joined it. A page never ends inside a millisecond.
    assert_eq!(counts.iter().sum::<usize>(), 1023);
    assert!(counts.iter().all(|count| *count <= 500), "{counts:?}");
    assert!(counts[0] > 490, "{counts:?}");
}

#[tokio::test]
async fn a_global_sync_is_refused_as_a_whole_for_a_client_that_cannot_read_one_room() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let open = alice.group(0, &[&bob]).await;
    alice.say(&open, "hello").await;
    let page = sync(&bob.unable(), "/api/chat/sync", 0).await;
    assert_eq!(
        (&page["messages"][1]["content"], &page["total_count"]),
        (&json!("hello"), &json!(2))
    );
    let secret = alice.group(2, &[&bob]).await;
    alice.send(&secret, sealed("content.new")).await.good();
    let since = json!({ "last_sync_timestamp": 0 });
    let answer = bob.unable().post("/api/chat/sync", since.clone()).await;
    assert_eq!(answer.json()["error"], "This room requires E2EE-capable clients.");
    answer.breaks("chat.e2ee_required");
    let answer = bob.post("/api/chat/sync", since).await;
    assert!(!answer.headers.contains_key("x-total"));
    let page = answer.good();
    let rooms: BTreeSet<String> = page["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["chat_room_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(rooms, BTreeSet::from([open, secret]));
    world.stranger().post("/api/chat/sync", json!({ "last_sync_timestamp": 0 })).await.is(401);
}

#[tokio::test]
async fn whoever_follows_syncs_of_all_rooms_misses_no_row_while_others_write() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let mut rooms = Vec::new();
    for _ in 0..4 {
        rooms.push(alice.group(0, &[&bob]).await);
    }
    let mut writers = tokio::task::JoinSet::new();
    for room in rooms {
        let alice = alice.clone();
        writers.spawn(async move {
            let mut ids = BTreeSet::new();
            for number in 0..40 {
                ids.insert(id(&alice.say(&room, &number.to_string()).await));
            }
            ids
        });
    }
    let (mut seen, mut sent, mut since) = (BTreeSet::new(), BTreeSet::new(), 0);
    loop {
        let is_last = writers.is_empty();
        let page = sync(&bob, "/api/chat/sync", since).await;
        since = millis(&page["current_timestamp"]);
        for row in page["messages"].as_array().unwrap() {
            assert!(row["type"] != "text" || seen.insert(id(row)), "a row came twice");
        }
        if is_last && page["messages"] == json!([]) {
            break;
        }
        while let Some(ids) = writers.try_join_next() {
            sent.extend(ids.unwrap());
        }
    }
    assert_eq!(seen, sent);
}

#[tokio::test]
async fn a_time_in_the_future_or_far_in_the_past_is_a_time() {
    let world = World::start().await;
    let alice = world.person("alice");
    let room = alice.group(0, &[]).await;
    alice.say(&room, "hello").await;
    for (since, count) in [(i64::MIN, 1), (-1, 1), (i64::MAX, 0)] {
        assert_eq!(alice.rows(&room, since).await.len(), count, "{since}");
    }
    let path = format!("/api/chat/{room}/sync");
    for wrong in [json!({}), json!({ "last_sync_timestamp": "0" }), json!([])] {
        alice.post(&path, wrong).await.is(400);
    }
}

#[tokio::test]
async fn a_page_of_large_rows_is_shorter_and_the_rest_comes_with_the_next() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let room = alice.group(2, &[&bob]).await;
    let large = "A".repeat(87_380);
    let fields = json!({
        "ciphertext": large, "encryption_header": large, "encryption_signature": large,
    });
    let mut sent = BTreeSet::new();
    for _ in 0..40 {
        let body = with(sealed("content.new"), fields.clone());
        sent.insert(id(&alice.send(&room, body).await.good()));
    }
    for path in [format!("/api/chat/{room}/sync"), "/api/chat/sync".to_owned()] {
        let (mut seen, mut since, mut pages) = (BTreeSet::new(), 0, 0);
        loop {
            let body = json!({ "last_sync_timestamp": since });
            let answer = bob.post(&path, body).await;
            assert!(answer.text.len() < 5 * 1024 * 1024, "{}", answer.text.len());
            let page = answer.good();
            since = millis(&page["current_timestamp"]);
            let rows = page["messages"].as_array().unwrap();
            if rows.is_empty() {
                break;
            }
            pages += 1;
            seen.extend(rows.iter().filter(|row| row["type"] == "text").map(id));
        }
        assert_eq!(seen, sent, "{path}");
        assert!(pages > 2, "{path}: {pages}");
    }
}
