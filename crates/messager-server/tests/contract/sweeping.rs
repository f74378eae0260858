//! What is taken away when it is done with for long.

use serde_json::{Value, json};

use crate::world::{Person, World, enroll, fanout, id, with};

const SEND: &str = "/api/e2ee/messages";
const PENDING: &str = "/api/e2ee/messages/pending";

/// Everything is done a month and a day earlier, and the server started again.
async fn a_month_later(world: World) -> World {
    let folder = world.stop().await;
    let tables = rusqlite::Connection::open(folder.path().join("messager.db")).unwrap();
    for (table, column) in [
        ("envelopes", "acked_at"),
        ("envelopes", "expires_at"),
        ("one_time_keys", "claimed_at"),
        ("devices", "revoked_at"),
    ] {
        let month = 31_i64 * 24 * 60 * 60 * 1000;
        let sql = format!("UPDATE {table} SET {column} = {column} - {month}");
        tables.execute(&sql, []).unwrap();
    }
    World::on(folder, |_| {}).await
}

async fn send(from: &Person, to: &Person, fields: Value) -> Value {
    let body = with(json!({ "recipient_id": to.id, "ciphertext": "AAEC" }), fields);
    from.post(SEND, body).await.good()
}

async fn sequences(who: &Person, path: &str) -> Vec<i64> {
    let waiting = who.get(path).await.good();
    waiting.as_array().unwrap().iter().map(|one| one["sequence"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn envelopes_that_are_done_with_go_and_their_sequence_goes_on() {
    let world = World::start().await;
    let [alice, bob, carol] = world.people(["alice", "bob", "carol"]);
    for number in 1..=6 {
        let fields = match number {
            3 => json!({ "expires_at": "2001-01-01T00:00:00Z" }),
            _ => json!({}),
        };
        let sent = send(&alice, &bob, fields).await;
        if [1, 2, 6].contains(&number) {
            bob.poke(&format!("{SEND}/{}/ack", id(&sent))).await.good();
        }
    }
    let only = send(&alice, &carol, json!({})).await;
    carol.poke(&format!("{SEND}/{}/ack", id(&only))).await.good();
    let world = a_month_later(world).await;
    let [alice, bob, carol] = [alice, bob, carol].map(|person| person.on(&world));
    // 4 and 5 wait; the newest of each recipient is what the next one is counted from.
    world.holds("SELECT count(*) FROM envelopes", 4).await;
    assert_eq!(sequences(&bob, PENDING).await, [4, 5]);
    assert_eq!(send(&alice, &bob, json!({})).await["sequence"], 7);
    let next = send(&alice, &carol, json!({})).await;
    assert_eq!(next["sequence"], 2);
    // What was acknowledged just now stays.
    carol.poke(&format!("{SEND}/{}/ack", id(&next))).await.good();
    send(&alice, &carol, json!({})).await;
    let folder = world.stop().await;
    let world = World::on(folder, |_| {}).await;
    // Those that are no longer the newest went this time: 1 of carol's and 6 of bob's.
    let rest = "SELECT total(sequence) = 4 + 5 + 7 + 2 + 3 FROM envelopes";
    world.holds(rest, 1).await;
}

#[tokio::test]
async fn what_waits_for_a_device_that_was_revoked_for_good_goes() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let phone = world.person("bob");
    for device in [&bob, &phone] {
        enroll(device).await;
    }
    for _ in 0..3 {
        let body = fanout(&bob, &[&bob.device, &phone.device]);
        alice.post("/api/e2ee/messages/fanout", body).await.good();
    }
    // By itself: its token stays, and so does what waits for it.
    bob.poke(&format!("/api/e2ee/devices/{}/revoke", bob.device)).await.is(204);
    phone.revoke(&world, "bob");
    let world = a_month_later(world).await;
    world.holds("SELECT count(*) FROM envelopes", 4).await;
    let waiting = sequences(&bob.on(&world), "/api/e2ee/envelopes/pending").await;
    assert_eq!(waiting, [1, 2, 3]);
}

#[tokio::test]
async fn a_one_time_key_that_was_swept_away_is_still_given_out_once() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let upload = |ids: std::ops::RangeInclusive<i64>| {
        let key = "A".repeat(42) + "A=";
        let keys: Vec<Value> = ids.map(|id| json!({ "key_id": id, "public_key": key })).collect();
        json!({
            "identity_key": key, "signed_pre_key": key,
            "signed_pre_key_signature": "A".repeat(84) + "AA==", "one_time_pre_keys": keys,
        })
    };
    let path = format!("/api/e2ee/keys/{}/bundle", alice.id);
    let claim =
        async |who: &Person| who.get(&path).await.good()["one_time_pre_key"]["key_id"].as_i64();
    alice.post("/api/e2ee/keys/upload", upload(1..=5)).await.good();
    for number in 1..=3 {
        assert_eq!(claim(&bob).await, Some(number));
    }
    let world = a_month_later(world).await;
    let [alice, bob] = [alice, bob].map(|person| person.on(&world));
    world.holds("SELECT count(*) FROM one_time_keys", 2).await;
    world.holds("SELECT count(*) FROM used_key_ids WHERE first = 1 AND last = 3", 1).await;
    alice.post("/api/e2ee/keys/upload", upload(1..=6)).await.good();
    for number in [Some(4), Some(5), Some(6), None] {
        assert_eq!(claim(&bob).await, number);
    }
}
