//! Keys in Pass.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::world::{Person, World, with};

const UPLOAD: &str = "/api/e2ee/keys/upload";
const DEVICE: &str = "/api/e2ee/devices/me/bundle";

fn key(number: u8, length: usize) -> String {
    STANDARD.encode(vec![number; length])
}

fn bundle(identity: u8, one_time: impl IntoIterator<Item = i64>) -> Value {
    let keys: Vec<Value> = one_time
        .into_iter()
        .map(|id| json!({ "key_id": id, "public_key": key(identity, 32) }))
        .collect();
    json!({
        "algorithm": "olm-v1", "identity_key": key(identity, 32), "signed_pre_key_id": 7,
        "signed_pre_key": key(2, 32), "signed_pre_key_signature": key(3, 64),
        "signed_pre_key_expires_at": "2100-01-01T00:00:00Z", "one_time_pre_keys": keys,
        "meta": { "Ed25519_Key": "abc" },
    })
}

async fn claim(who: &Person, target: &Person) -> Value {
    who.get(&format!("/api/e2ee/keys/{}/bundle", target.id)).await.good()
}

#[tokio::test]
async fn keys_come_back_as_they_were_uploaded_with_the_lowest_one_time_key() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let body = bundle(1, [9, 4, 6]);
    let stored = alice.post(UPLOAD, body.clone()).await.good();
    assert!(stored.get("one_time_pre_keys").is_none());
    let ids: Vec<Value> = [
        claim(&bob, &alice).await,
        claim(&alice, &alice).await,
        claim(&bob, &alice).await,
        claim(&bob, &alice).await,
    ]
    .into_iter()
    .map(|claimed| {
        for name in ["algorithm", "identity_key", "signed_pre_key", "signed_pre_key_id", "meta"] {
            assert_eq!(claimed[name], body[name]);
        }
        claimed["one_time_pre_key"]["key_id"].clone()
    })
    .collect();
    assert_eq!(ids, [json!(4), json!(6), json!(9), json!(null)]);
    let mine = alice.get("/api/e2ee/keys/me").await.good();
    assert_eq!(mine["one_time_pre_key"], json!(null));
    bob.get("/api/e2ee/keys/me").await.is(404);
    bob.get(&format!("/api/e2ee/keys/{}/bundle", bob.id)).await.is(404);
}

#[tokio::test]
async fn nothing_is_claimed_by_those_who_only_look() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    alice.post(UPLOAD, bundle(1, [1])).await.good();
    alice.put(DEVICE, bundle(1, [1])).await.good();
    for path in ["bundle", "devices"] {
        let path = format!("/api/e2ee/keys/{}/{path}?consumeonetimeprekey=FALSE", alice.id);
        let text = bob.get(&path).await.good().to_string();
        assert!(text.contains("\"one_time_pre_key\":null"), "{text}");
    }
    alice.get("/api/e2ee/keys/me").await.good();
    assert_eq!(claim(&bob, &alice).await["one_time_pre_key"]["key_id"], 1);
}

#[tokio::test]
async fn uploaded_again_one_time_keys_are_added_and_used_ids_passed_over() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    alice.post(UPLOAD, bundle(1, [1, 2])).await.good();
    claim(&bob, &alice).await;
    let changed = with(bundle(1, [1, 2, 3]), json!({ "signed_pre_key": key(8, 32) }));
    alice.post(UPLOAD, changed).await.good();
    let mut ids = Vec::new();
    for _ in 0..3 {
        let claimed = claim(&bob, &alice).await;
        assert_eq!(claimed["signed_pre_key"], key(8, 32));
        ids.push(claimed["one_time_pre_key"]["key_id"].clone());
    }
    assert_eq!(ids, [json!(2), json!(3), json!(null)], "the first was claimed before");
}

#[tokio::test]
async fn another_identity_takes_its_one_time_keys_with_it() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    alice.post(UPLOAD, bundle(1, [1, 2])).await.good();
    claim(&bob, &alice).await;
    alice.post(UPLOAD, bundle(5, [1, 2, 3])).await.good();
    // The id of a key that was claimed is never given out again.
    let claimed = claim(&bob, &alice).await;
    assert_eq!(claimed["one_time_pre_key"], json!({ "key_id": 2, "public_key": key(5, 32) }));
}

#[tokio::test]
async fn keys_of_wrong_lengths_and_ids_that_come_twice_are_refused() {
    let world = World::start().await;
    let alice = world.person("alice");
    for (field, fields) in [
        ("identity_key", json!({ "identity_key": key(1, 31) })),
        ("identity_key", json!({ "identity_key": "" })),
        ("signed_pre_key", json!({ "signed_pre_key": key(1, 33) })),
        ("signed_pre_key_signature", json!({ "signed_pre_key_signature": key(1, 32) })),
        ("one_time_pre_keys", json!({ "one_time_pre_keys": [{ "key_id": 1, "public_key": "" }] })),
        ("one_time_pre_keys", bundle(1, [1, 1])),
        ("algorithm", json!({ "algorithm": "x".repeat(33) })),
    ] {
        for path in [UPLOAD, DEVICE] {
            let body = with(bundle(1, []), fields.clone());
            let answer = match path {
                UPLOAD => alice.post(path, body).await,
                path => alice.put(path, body).await,
            };
            assert_eq!(answer.status, 400, "{field}");
            assert!(answer.json()["errors"][field].is_array(), "{field}: {}", answer.text);
        }
    }
    let mut missing = bundle(1, []);
    missing.as_object_mut().unwrap().remove("identity_key");
    alice.post(UPLOAD, missing).await.is(400);
    alice.get("/api/e2ee/keys/me").await.is(404);
}

#[tokio::test]
async fn camel_case_is_taken_and_snake_case_given() {
    let world = World::start().await;
    let alice = world.person("alice");
    let body = json!({
        "identityKey": key(1, 32), "signedPreKey": key(2, 32),
        "signedPreKeySignature": key(3, 64),
        "oneTimePreKeys": [{ "keyId": 5, "publicKey": key(4, 32) }], "meta": { "aB": 1 },
    });
    let stored = alice.post(UPLOAD, body).await.good();
    assert_eq!((&stored["algorithm"], &stored["meta"]), (&json!("x25519"), &json!({ "aB": 1 })));
    assert_eq!(claim(&alice, &alice).await["one_time_pre_key"]["key_id"], 5);
}

#[tokio::test]
async fn fifty_parallel_claimers_get_each_key_once() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    alice.post(UPLOAD, bundle(1, 0..120)).await.good();
    alice.put(DEVICE, bundle(1, 1000..1120)).await.good();
    let mut claimers = tokio::task::JoinSet::new();
    for number in 0..50 {
        let (bob, alice) = (bob.clone(), alice.clone());
        claimers.spawn(async move {
            let path = match number % 2 {
                0 => format!("/api/e2ee/keys/{}/devices", alice.id),
                _ => format!("/api/e2ee/keys/{}/bundle", alice.id),
            };
            let mut claimed = Vec::new();
            for _ in 0..6 {
                let answer = bob.get(&path).await.good();
                let one = answer.get(0).cloned().unwrap_or(answer);
                claimed.extend(one["one_time_pre_key"]["key_id"].as_i64());
            }
            claimed
        });
    }
    let mut seen = Vec::new();
    while let Some(claimed) = claimers.join_next().await {
        seen.extend(claimed.unwrap());
    }
    // The newest keys are the device's: both ways claim from the same pool.
    let different: BTreeSet<i64> = seen.iter().copied().collect();
    assert_eq!((seen.len(), different), (120, (1000..1120).collect()));
}

#[tokio::test]
async fn the_keys_of_each_device_are_listed_without_those_that_are_revoked() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let phone = world.person("alice");
    let path = format!("/api/e2ee/keys/{}/devices", alice.id);
    assert_eq!(bob.get(&path).await.good(), json!([]));
    alice.post(UPLOAD, bundle(9, [1])).await.good();
    assert_eq!(bob.get(&path).await.good(), json!([]), "the account's own keys are no device's");
    alice.put(DEVICE, with(bundle(1, [1]), json!({ "device_label": "laptop" }))).await.good();
    phone.put(DEVICE, bundle(2, [1])).await.good();
    let listed = bob.get(&path).await.good();
    let devices: BTreeSet<&str> =
        listed.as_array().unwrap().iter().map(|one| one["device_id"].as_str().unwrap()).collect();
    assert_eq!(devices, BTreeSet::from([alice.device.as_str(), phone.device.as_str()]));
    assert!(listed.to_string().contains("laptop"));
    let revoke = |device: &str| format!("/api/e2ee/devices/{device}/revoke");
    bob.poke(&revoke(&phone.device)).await.is(404);
    alice.poke(&revoke(&phone.device)).await.is(204);
    alice.poke(&revoke(&phone.device)).await.is(204);
    let listed = bob.get(&path).await.good();
    assert_eq!(listed[0]["device_id"], alice.device);
    assert_eq!(listed.as_array().unwrap().len(), 1);
    // Its token is still good, and with new keys it is back.
    phone.put(DEVICE, bundle(2, [])).await.good();
    assert_eq!(bob.get(&path).await.good().as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_session_is_made_once_for_both() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let path = |peer: &str| format!("/api/e2ee/sessions/{peer}");
    alice.poke(&path(&bob.id)).await.is(415);
    alice.post(&path(&alice.id), json!({})).await.is(400);
    alice.post(&path("0198c0de-0000-7000-8000-000000000001"), json!({})).await.is(404);
    let body = json!({ "hint": "h", "meta": { "a": 1 } });
    let made = alice.post(&path(&bob.id), body).await.good();
    let found =
        bob.post(&path(&alice.id), json!({ "hint": null, "meta": { "b": 2 } })).await.good();
    assert_eq!((&found["id"], &found["initiated_by_id"]), (&made["id"], &json!(alice.id)));
    assert_eq!((&found["hint"], &found["meta"]), (&json!("h"), &json!({ "b": 2 })));
    let mut pair = [alice.id.clone(), bob.id.clone()];
    pair.sort();
    assert_eq!(json!([found["account_a_id"], found["account_b_id"]]), json!(pair));
    assert_eq!(found["last_message_at"], json!(null));
    let envelope = json!({
        "recipient_id": bob.id, "session_id": found["id"], "ciphertext": "AAEC",
    });
    alice.post("/api/e2ee/messages", envelope).await.good();
    let found = bob.post(&path(&alice.id), json!({})).await.good();
    assert!(found["last_message_at"].is_string());
}
