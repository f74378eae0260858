//! Envelopes in Pass.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::world::{PATIENCE, Person, World, enroll, fanout, id, with};

const SEND: &str = "/api/e2ee/messages";
const PENDING: &str = "/api/e2ee/messages/pending";
const FANOUT: &str = "/api/e2ee/messages/fanout";
const WAITING: &str = "/api/e2ee/envelopes/pending";

fn envelope(recipient: &Person, fields: Value) -> Value {
    with(json!({ "recipient_id": recipient.id, "ciphertext": "AAEC/w==" }), fields)
}

async fn list(who: &Person, path: &str) -> Vec<Value> {
    who.get(path).await.good().as_array().unwrap().clone()
}

#[tokio::test]
async fn envelopes_come_in_order_until_they_are_acknowledged() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    for number in 0..3 {
        let fields = json!({ "type": number, "header": "aA==", "meta": { "n": number } });
        let sent = alice.post(SEND, envelope(&bob, fields)).await.good();
        assert_eq!((&sent["sequence"], &sent["delivery_status"]), (&json!(number + 1), &json!(0)));
        assert_eq!((&sent["sender_id"], &sent["recipient_id"]), (&json!(alice.id), &json!(bob.id)));
        assert_eq!(sent["legacy_account_scoped"], true);
    }
    assert_eq!(list(&bob, &format!("{PENDING}?take=2")).await.len(), 2);
    for _ in 0..2 {
        let waiting = list(&bob, PENDING).await;
        let sequences: Vec<_> = waiting.iter().map(|one| one["sequence"].clone()).collect();
        assert_eq!(sequences, [1, 2, 3]);
        assert!(waiting.iter().all(|one| one["delivery_status"] == 1));
        assert_eq!(waiting[0]["ciphertext"], "AAEC/w==");
    }
    let second = id(&list(&bob, PENDING).await[1]);
    let ack = format!("{SEND}/{second}/ack");
    alice.poke(&ack).await.is(404);
    assert_eq!(bob.poke(&ack).await.good()["delivery_status"], 2);
    // Again is as good, and moves the moment: in one millisecond it may be the same.
    let first = bob.poke(&ack).await.good()["acked_at"].clone();
    assert!(first.is_string());
    let moves = async { while bob.poke(&ack).await.good()["acked_at"] == first {} };
    tokio::time::timeout(PATIENCE, moves).await.expect("it never moved");
    let sequences: Vec<_> =
        list(&bob, PENDING).await.iter().map(|one| one["sequence"].clone()).collect();
    assert_eq!(sequences, [1, 3]);
    assert_eq!(list(&bob, WAITING).await.len(), 0, "they are not for a device");
}

#[tokio::test]
async fn checks_of_an_envelope_come_in_the_order_of_the_contract() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let nobody = "0198c0de-0000-7000-8000-000000000001";
    let empty = json!({ "ciphertext": "" });
    let text = alice.post(SEND, envelope(&alice, empty.clone())).await.is(400);
    assert!(text.contains("somebody else"), "{text}");
    let answer =
        alice.post(SEND, envelope(&bob, with(empty, json!({ "recipient_id": nobody })))).await;
    assert!(answer.json()["errors"]["ciphertext"].is_array(), "{}", answer.text);
    alice.post(SEND, envelope(&bob, json!({ "recipient_id": nobody }))).await.is(404);
    alice.post(SEND, envelope(&bob, json!({ "type": 4 }))).await.is(400);
    alice.post(SEND, envelope(&bob, json!({ "type": "pairwise" }))).await.is(400);
    // An id of no session of theirs is passed over.
    alice.post(SEND, envelope(&bob, json!({ "session_id": nobody }))).await.good();
}

#[tokio::test]
async fn a_repeated_envelope_is_the_first_one_and_is_not_pushed_again() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let mut socket = bob.connect().await;
    let fields = json!({ "client_message_id": "c1", "expires_at": "2100-01-01T00:00:00Z" });
    let first = alice.post(SEND, envelope(&bob, fields.clone())).await.good();
    assert_eq!((&first["delivery_status"], first["delivered_at"].is_string()), (&json!(1), true));
    let other = with(fields, json!({ "ciphertext": "CQkJ", "type": 3 }));
    let again = alice.post(SEND, envelope(&bob, other)).await.good();
    assert_eq!((&again["id"], &again["ciphertext"]), (&first["id"], &json!("AAEC/w==")));
    let packets = socket.all().await;
    assert_eq!(packets.len(), 1);
    let packet = &packets[0];
    assert_eq!(packet["type"], "e2ee.envelope");
    assert_eq!((&packet["data"]["id"], &packet["data"]["sequence"]), (&first["id"], &json!(1)));
    for absent in ["delivery_status", "expires_at", "acked_at"] {
        assert!(packet["data"].get(absent).is_none(), "{absent}");
    }
    for _ in 0..2 {
        alice.post(SEND, envelope(&bob, json!({ "client_message_id": " " }))).await.good();
    }
    assert_eq!(list(&bob, PENDING).await.len(), 3, "a blank one is none");
}

#[tokio::test]
async fn an_envelope_is_pushed_to_each_socket_with_the_fields_of_the_contract() {
    const FIELDS: [&str; 17] = [
        "ciphertext",
        "client_message_id",
        "created_at",
        "group_id",
        "header",
        "id",
        "legacy_account_scoped",
        "meta",
        "recipient_account_id",
        "recipient_device_id",
        "recipient_id",
        "sender_device_id",
        "sender_id",
        "sequence",
        "session_id",
        "signature",
        "type",
    ];
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let phone = world.person("bob");
    enroll(&bob).await;
    let mut sockets = [bob.connect().await, phone.connect().await];
    let path = format!("/api/e2ee/sessions/{}", bob.id);
    let session = alice.post(&path, json!({})).await.good();
    let fields = json!({
        "type": 2, "group_id": "g", "client_message_id": "c1", "session_id": session["id"],
        "header": "aA==", "signature": "cw==", "meta": { "aB": 1 },
        "expires_at": "2100-01-01T00:00:00Z",
    });
    let sent = alice.post(SEND, envelope(&bob, fields)).await.good();
    assert_eq!(
        (&sent["recipient_device_id"], &sent["sender_device_id"]),
        (&json!(null), &json!("legacy-account"))
    );
    let sees = |packet: &Value, waiting: &Value| {
        let data = packet["data"].as_object().unwrap();
        let mut names: Vec<_> = data.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!((&packet["type"], names), (&json!("e2ee.envelope"), FIELDS.to_vec()));
        for (name, value) in data {
            assert_eq!(*value, waiting[name], "{name}");
        }
    };
    let waiting = list(&phone, PENDING).await;
    for socket in &mut sockets {
        let packets = socket.all().await;
        assert_eq!(packets.len(), 1, "all sockets of the account");
        sees(&packets[0], &waiting[0]);
    }
    // One for a device goes to that device, with the same fields.
    alice.post(FANOUT, fanout(&bob, &[&bob.device])).await.good();
    let [on_bob, on_phone] = sockets.each_mut();
    sees(&on_bob.until("e2ee.envelope").await, &list(&bob, WAITING).await[0]);
    assert_eq!(on_phone.all().await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_repetition_is_known_by_its_account_and_in_a_fan_out_by_its_device() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let other = world.person("alice");
    enroll(&bob).await;
    let fields = json!({ "client_message_id": "c1" });
    let mut ids = BTreeSet::new();
    for device in [&alice, &other] {
        ids.insert(id(&device.post(SEND, envelope(&bob, fields.clone())).await.good()));
    }
    assert_eq!(ids.len(), 1);
    let mut body = fanout(&bob, &[&bob.device]);
    body["payloads"][0]["client_message_id"] = "c1".into();
    body["include_sender_copy"] = true.into();
    for device in [&alice, &other, &alice, &other] {
        let sent = device.post(FANOUT, body.clone()).await.good();
        assert_eq!(sent.as_array().unwrap().len(), 1, "no copy for the sender");
        ids.insert(id(&sent[0]));
    }
    assert_eq!(ids.len(), 3);
    for device in [&alice, &other] {
        assert_eq!(list(device, WAITING).await.len(), 0);
    }
}

#[tokio::test]
async fn a_page_of_envelopes_has_100_unless_told_and_from_1_to_500() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let item = json!({ "recipient_id": bob.id, "ciphertext": "AAEC" });
    let until = "2100-01-01T00:00:00.000Z";
    let body = json!({ "group_id": "g", "items": vec![item; 501], "expires_at": until });
    alice.post("/api/e2ee/groups/sender-key/distribute", body).await.good();
    for (query, count) in [("", 100), ("?take=0", 1), ("?take=-5", 1), ("?take=9999", 500)] {
        let waiting = list(&bob, &format!("{PENDING}{query}")).await;
        assert_eq!(waiting.len(), count, "{query}");
        assert!(waiting.iter().all(|one| one["expires_at"] == until));
    }
    bob.get(&format!("{PENDING}?take=many")).await.is(400);
}

#[tokio::test]
async fn expired_envelopes_are_hidden_and_can_be_acknowledged() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let fields = json!({ "expires_at": "2001-01-01T00:00:00Z" });
    let expired = alice.post(SEND, envelope(&bob, fields)).await.good();
    assert_eq!(list(&bob, PENDING).await.len(), 0);
    bob.poke(&format!("{SEND}/{}/ack", id(&expired))).await.good();
    let fields = json!({ "expires_at": "2100-01-01T01:00:00+01:00" });
    let sent = alice.post(SEND, envelope(&bob, fields)).await.good();
    assert_eq!(sent["expires_at"], "2100-01-01T00:00:00.000Z");
    assert_eq!(list(&bob, PENDING).await[0]["sequence"], 2);
}

#[tokio::test]
async fn parallel_senders_get_sequences_without_a_gap() {
    let world = World::start().await;
    let [alice, bob, carol] = world.people(["alice", "bob", "carol"]);
    let mut sends = tokio::task::JoinSet::new();
    for number in 0..40 {
        let (sender, body) = ([&alice, &carol][number % 2].clone(), envelope(&bob, json!({})));
        sends.spawn(async move { sender.post(SEND, body).await.good() });
    }
    while let Some(sent) = sends.join_next().await {
        sent.unwrap();
    }
    let sequences: Vec<i64> =
        list(&bob, PENDING).await.iter().map(|one| one["sequence"].as_i64().unwrap()).collect();
    assert_eq!(sequences, (1..=40).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_sender_key_goes_to_all_accounts_or_to_none() {
    let world = World::start().await;
    let [alice, bob, carol] = world.people(["alice", "bob", "carol"]);
    let path = "/api/e2ee/groups/sender-key/distribute";
    let item =
        |id: &str| json!({ "recipient_id": id, "ciphertext": "AAEC", "client_message_id": "k" });
    let body = |ids: &[&str]| {
        let items: Vec<Value> = ids.iter().map(|id| item(id)).collect();
        json!({ "group_id": "g", "items": items })
    };
    let nobody = "0198c0de-0000-7000-8000-000000000001";
    alice.post(path, body(&[&bob.id, nobody])).await.is(404);
    assert_eq!(list(&bob, PENDING).await.len(), 0);
    alice.post(path, body(&[])).await.is(400);
    let ids = [bob.id.as_str(), &carol.id, &alice.id];
    for _ in 0..2 {
        assert_eq!(alice.post(path, body(&ids)).await.good(), json!({ "sent": 3 }));
    }
    for person in [&alice, &bob, &carol] {
        let waiting = list(person, PENDING).await;
        assert_eq!(waiting.len(), 1, "the second time they were there");
        assert_eq!((&waiting[0]["type"], &waiting[0]["group_id"]), (&json!(1), &json!("g")));
    }
}

#[tokio::test]
async fn a_fan_out_reaches_each_active_device_and_says_which_are_wrong() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let (phone, tablet) = (world.person("bob"), world.person("bob"));
    for device in [&bob, &phone, &tablet] {
        enroll(device).await;
    }
    bob.poke(&format!("/api/e2ee/devices/{}/revoke", tablet.device)).await.is(204);
    let devices = [bob.device.as_str(), &phone.device];
    let mut nobody = alice.clone();
    nobody.id = "0198c0de-0000-7000-8000-000000000001".to_owned();
    alice.post(FANOUT, fanout(&nobody, &["a"])).await.is(404);
    alice.post(FANOUT, fanout(&bob, &[])).await.is(400);
    alice.post(FANOUT, fanout(&bob, &[&bob.device, &bob.device, &phone.device])).await.is(400);
    let answer = alice.post(FANOUT, fanout(&bob, &[&bob.device, &tablet.device])).await;
    let body = answer.json();
    assert_eq!(
        (&body["missing"], &body["unknown"]),
        (&json!([phone.device]), &json!([tablet.device]))
    );
    answer.breaks("e2ee.fanout_devices_mismatch");
    assert_eq!(list(&bob, WAITING).await.len(), 0, "nothing of it was sent");
    let sent = alice.post(FANOUT, fanout(&bob, &devices)).await.good();
    assert_eq!(sent.as_array().unwrap().len(), 2);
    for device in [&bob, &phone] {
        let waiting = list(device, WAITING).await;
        assert_eq!(waiting.len(), 1);
        assert_eq!(waiting[0]["recipient_device_id"], device.device);
        assert_eq!(waiting[0]["sender_device_id"], alice.device);
        assert_eq!((&waiting[0]["sequence"], &waiting[0]["type"]), (&json!(1), &json!(1)));
    }
    assert_eq!(list(&bob, PENDING).await.len(), 0, "they are for devices");
}

#[tokio::test]
async fn an_account_without_devices_cannot_be_fanned_out_to() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let answer = alice.post(FANOUT, fanout(&bob, &[&bob.device])).await;
    assert_eq!(answer.json()["unknown"], json!([bob.device]));
    answer.breaks("e2ee.fanout_devices_mismatch");
}

#[tokio::test]
async fn keys_of_an_account_as_a_whole_are_no_device_of_a_fan_out() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    enroll(&bob).await;
    let key = "A".repeat(42) + "A=";
    let signature = "A".repeat(84) + "AA==";
    let body = json!({
        "identity_key": key, "signed_pre_key": key, "signed_pre_key_signature": signature,
    });
    bob.post("/api/e2ee/keys/upload", body).await.good();
    alice.post(FANOUT, fanout(&bob, &[&bob.device])).await.good();
}

#[tokio::test]
async fn a_fan_out_to_oneself_includes_the_sending_device() {
    let world = World::start().await;
    let alice = world.person("alice");
    let phone = world.person("alice");
    for device in [&alice, &phone] {
        enroll(device).await;
    }
    alice.post(FANOUT, fanout(&alice, &[&phone.device])).await.is(409);
    alice.post(FANOUT, fanout(&alice, &[&alice.device, &phone.device])).await.good();
}

#[tokio::test]
async fn a_device_gets_its_own_envelopes_and_acknowledges_them() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let phone = world.person("bob");
    for device in [&bob, &phone] {
        enroll(device).await;
    }
    let (mut on_bob, mut on_phone) = (bob.connect().await, phone.connect().await);
    let mut body = fanout(&bob, &[&bob.device, &phone.device]);
    for payload in body["payloads"].as_array_mut().unwrap() {
        payload["client_message_id"] = "c1".into();
    }
    let sent = alice.post(FANOUT, body.clone()).await.good();
    assert!(sent.as_array().unwrap().iter().all(|one| one["delivery_status"] == 1));
    for (socket, device) in [(&mut on_bob, &bob.device), (&mut on_phone, &phone.device)] {
        let packets = socket.all().await;
        assert_eq!(packets.len(), 1);
        assert_eq!(packets[0]["data"]["recipient_device_id"], *device);
    }
    // A device of one's own can be asked for; one of somebody else cannot.
    let of = |device: &str| format!("{WAITING}?device_id={device}");
    assert_eq!(list(&bob, &of(&phone.device)).await[0]["recipient_device_id"], phone.device);
    alice.get(&of(&phone.device)).await.is(404);
    bob.get(&of("unknown")).await.is(404);
    let own = list(&phone, WAITING).await[0].clone();
    let ack = format!("/api/e2ee/envelopes/{}/ack", id(&own));
    bob.poke(&ack).await.is(404);
    alice.poke(&format!("{ack}?device_id={}", phone.device)).await.is(404);
    phone.poke(&format!("/api/e2ee/messages/{}/ack", id(&own))).await.is(404);
    assert_eq!(phone.poke(&ack).await.good()["delivery_status"], 2);
    // Sent again it stays acknowledged, and is not pushed.
    let again = alice.post(FANOUT, body).await.good();
    let again = again.as_array().unwrap();
    let mine = again.iter().find(|one| one["recipient_device_id"] == phone.device).unwrap();
    assert_eq!((&mine["id"], &mine["delivery_status"]), (&own["id"], &json!(2)));
    assert_eq!(on_phone.all().await, Vec::<Value>::new());
    assert_eq!(list(&phone, WAITING).await.len(), 0);
}

#[tokio::test]
async fn what_a_device_has_not_acknowledged_is_pushed_again_when_it_is_sent_again() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let phone = world.person("bob");
    for device in [&bob, &phone] {
        enroll(device).await;
    }
    let body = |key: &str, until: &str| {
        let mut body = with(fanout(&bob, &[&bob.device, &phone.device]), json!({}));
        body["expires_at"] = until.into();
        for payload in body["payloads"].as_array_mut().unwrap() {
            payload["client_message_id"] = key.into();
        }
        body
    };
    let (body, expired) = (body("c1", "2100-01-01T00:00:00Z"), body("c2", "2001-01-01T00:00:00Z"));
    let first = alice.post(FANOUT, body.clone()).await.good();
    assert_eq!(first[1]["expires_at"], "2100-01-01T00:00:00.000Z");
    alice.post(FANOUT, expired.clone()).await.good();
    assert_eq!(alice.post(FANOUT, body.clone()).await.good(), first, "nobody is there");
    let mut socket = bob.connect().await;
    let mut delivered = Vec::new();
    for _ in 0..2 {
        let again = alice.post(FANOUT, body.clone()).await.good();
        assert_eq!((&again[0]["id"], &again[0]["delivery_status"]), (&first[0]["id"], &json!(1)));
        assert_eq!(again[1], first[1], "the phone is not there");
        delivered.push(again[0]["delivered_at"].clone());
        let packets = socket.all().await;
        assert_eq!(packets.len(), 1);
        assert_eq!(packets[0]["type"], "e2ee.envelope");
        assert_eq!(packets[0]["data"]["id"], first[0]["id"]);
        assert_eq!(packets[0]["data"]["sequence"], 1);
    }
    assert!(delivered[0].is_string() && delivered[0] == delivered[1], "{delivered:?}");
    assert_eq!(list(&bob, WAITING).await[0]["delivered_at"], delivered[0]);
    alice.post(FANOUT, expired).await.good();
    assert_eq!(socket.all().await, Vec::<Value>::new(), "it is over");
}

#[tokio::test]
async fn what_waits_for_a_device_stays_when_it_is_revoked() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    enroll(&bob).await;
    alice.post(FANOUT, fanout(&bob, &[&bob.device])).await.good();
    bob.poke(&format!("/api/e2ee/devices/{}/revoke", bob.device)).await.is(204);
    assert_eq!(list(&bob, WAITING).await.len(), 1, "and its token is still good");
}
