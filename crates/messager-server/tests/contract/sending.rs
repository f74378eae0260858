//! New messages.

use serde_json::json;

use crate::world::{World, id, sealed, with};

const NEW: &str = "content.new";

#[tokio::test]
async fn an_encrypted_message_is_stored_and_sent_on_as_it_came() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let room = alice.group(2, &[&bob]).await;
    let mut socket = bob.connect().await;
    let body = with(sealed(NEW), json!({ "client_message_id": "c1", "nonce": "n1" }));
    let sent = alice.send(&room, body.clone()).await.good();
    let packet = socket.until("messages.new").await;
    assert_eq!((&packet["endpoint"], &packet["error_message"]), (&json!(null), &json!(null)));
    let read = bob.get(&format!("/api/chat/{room}/messages/{}", id(&sent))).await.good();
    for row in [&sent, &packet["data"], &read] {
        for (name, value) in body.as_object().unwrap() {
            assert_eq!(row[name], *value, "{name}");
        }
        assert_eq!((&row["type"], &row["content"]), (&json!("text"), &json!(null)));
        assert_eq!((&row["meta"], &row["members_mentioned"]), (&json!({}), &json!([])));
        assert_eq!(row["sender"]["account"]["name"], "alice");
        assert_eq!(row["chat_room"]["id"], room);
        assert_eq!(row["chat_room_id"], room);
        let nulls = ["edited_at", "deleted_at", "replied_message", "forwarded_message_id"];
        assert!(nulls.iter().all(|name| row.get(name) == Some(&json!(null))), "nulls are there");
    }
}

#[tokio::test]
async fn a_missing_room_is_refused_as_one_that_one_is_not_in() {
    let world = World::start().await;
    let alice = world.person("alice");
    let text = alice.send("0198c0de-0000-7000-8000-000000000001", sealed(NEW)).await.is(403);
    assert_eq!(text, "You need to be a member to send messages here.");
}

#[tokio::test]
async fn checks_of_a_send_come_in_the_order_of_the_contract() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let room = alice.group(2, &[]).await;
    let unable = bob.unable();
    // Each step repairs what was refused before it, and nothing else.
    let json_inside = json!({ "ciphertext": "eyJjb250ZW50IjoiaGkifQ==", "content": "hi" });
    world.stranger().send(&room, json!({ "content": 5 })).await.is(401);
    unable.send(&room, json!({ "content": 5 })).await.is(400);
    unable.send(&room, json!({})).await.is(403);
    alice.bring(&room, &bob).await;
    let timeout = format!("/api/chat/{room}/members/{}/timeout", bob.id);
    alice.post(&timeout, json!({ "timeout_until": "2100-01-01T00:00:00Z" })).await.is(204);
    unable.send(&room, json!({})).await.is(403);
    alice.delete(&timeout).await.is(204);
    unable.send(&room, json!({})).await.breaks("chat.e2ee_required");
    bob.send(&room, json!({})).await.breaks("chat.e2ee_payload_required");
    let body = with(sealed(NEW), json_inside);
    bob.send(&room, body.clone()).await.breaks("chat.e2ee_ciphertext_invalid");
    let body = with(body, json!({ "ciphertext": "AAEC" }));
    bob.send(&room, body.clone()).await.breaks("chat.e2ee_plaintext_forbidden");
    bob.send(&room, with(body, json!({ "content": " " }))).await.good();
}

#[tokio::test]
async fn the_refusal_of_a_client_that_cannot_encrypt_has_the_words_of_the_contract() {
    let world = World::start().await;
    let alice = world.person("alice");
    let room = alice.group(2, &[]).await;
    let answer = alice.unable().send(&room, sealed(NEW)).await;
    let body = json!({
        "code": "chat.e2ee_required", "error": "This room requires E2EE-capable clients.",
    });
    assert_eq!((answer.status, answer.json()), (409, body));
}

#[tokio::test]
async fn each_part_of_the_payload_is_required() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let room = alice.direct(1, &bob).await;
    for fields in [
        json!({ "is_encrypted": null }),
        json!({ "is_encrypted": false }),
        json!({ "ciphertext": null }),
        json!({ "ciphertext": "" }),
        json!({ "encryption_scheme": null }),
        json!({ "encryption_scheme": " " }),
        json!({ "encryption_message_type": null }),
        json!({ "encryption_message_type": "content.edit" }),
        json!({ "encryption_message_type": "content.delete" }),
        json!({ "encryption_message_type": "text" }),
        json!({ "encryption_epoch": -1 }),
    ] {
        let body = with(sealed(NEW), fields.clone());
        let answer = alice.send(&room, body).await;
        assert_eq!(answer.json()["code"], "chat.e2ee_payload_required", "{fields}");
    }
    // Underscores count: this is no `is_encrypted`.
    let mut body = with(sealed(NEW), json!({ "isEncrypted": true }));
    body.as_object_mut().unwrap().remove("is_encrypted");
    alice.send(&room, body).await.breaks("chat.e2ee_payload_required");
    let optional = json!({
        "encryption_header": null, "encryption_signature": null, "encryption_epoch": null,
        "attachments_id": [], "meta": {},
    });
    alice.send(&room, with(sealed(NEW), optional)).await.good();
}

#[tokio::test]
async fn nothing_in_the_clear_stands_beside_a_ciphertext() {
    let world = World::start().await;
    let alice = world.person("alice");
    let room = alice.group(2, &[]).await;
    let other = "0198c0de-0000-7000-8000-000000000001";
    for fields in [
        json!({ "content": "hello" }),
        json!({ "attachments_id": ["file"] }),
        json!({ "fund_id": other }),
        json!({ "poll_id": other }),
        json!({ "replied_message_id": other }),
        json!({ "forwarded_message_id": other }),
        json!({ "meta": { "preview": "hello" } }),
    ] {
        let answer = alice.send(&room, with(sealed(NEW), fields.clone())).await;
        assert_eq!(answer.json()["code"], "chat.e2ee_plaintext_forbidden", "{fields}");
    }
}

#[tokio::test]
async fn limits_are_checked_before_anything_else_and_named() {
    let world = World::start().await;
    let alice = world.person("alice");
    let room = alice.group(0, &[]).await;
    let long = |count: usize| "x".repeat(count);
    alice.send(&room, json!({ "content": long(4096) })).await.good();
    for (field, fields) in [
        ("content", json!({ "content": long(4097) })),
        // Counted in units of UTF-16.
        ("content", json!({ "content": "🙂".repeat(2049) })),
        ("nonce", json!({ "nonce": long(37) })),
        ("client_message_id", json!({ "client_message_id": long(129) })),
        ("encryption_scheme", json!({ "encryption_scheme": long(129) })),
        ("encryption_message_type", json!({ "encryption_message_type": long(129) })),
        ("ciphertext", json!({ "ciphertext": "AAAA".repeat(21_846) })),
        ("ciphertext", json!({ "ciphertext": "not base64" })),
        ("meta", json!({ "meta": { "a": long(17_000) } })),
        ("is_encrypted", json!({ "is_encrypted": "true" })),
        ("encryption_epoch", json!({ "encryption_epoch": "3" })),
        ("replied_message_id", json!({ "replied_message_id": "x" })),
    ] {
        let answer = alice.send(&room, with(json!({ "content": "a" }), fields)).await;
        assert_eq!(answer.status, 400, "{field}");
        assert!(answer.json()["errors"][field].is_array(), "{field}: {}", answer.text);
    }
    alice.send(&room, json!({ "content": "x".repeat(3_000_000) })).await.is(413);
}

#[tokio::test]
async fn words_that_nobody_can_see_are_taken_out_before_they_are_counted() {
    let world = World::start().await;
    let alice = world.person("alice");
    let room = alice.group(0, &[]).await;
    let content = format!("a\u{200b}b\u{0}c\n\td{}", "\u{200b}".repeat(5000));
    assert_eq!(alice.say(&room, &content).await["content"], "abc\n\td");
    alice.send(&room, json!({ "content": "\u{200b}" })).await.is(400);
}

#[tokio::test]
async fn a_room_in_the_clear_takes_no_ciphertext_and_no_empty_message() {
    let world = World::start().await;
    let alice = world.person("alice");
    let room = alice.unable().group(0, &[]).await;
    let text = alice.send(&room, json!({ "content": " \n" })).await.is(400);
    assert_eq!(text, "You cannot send an empty message.");
    alice.send(&room, sealed(NEW)).await.is(400);
    let body = with(sealed(NEW), json!({ "is_encrypted": false, "content": "hello" }));
    let sent = alice.send(&room, body).await.good();
    assert_eq!((&sent["content"], &sent["ciphertext"]), (&json!("hello"), &json!(null)));
    let body = json!({ "poll_id": "0198c0de-0000-7000-8000-000000000001" });
    alice.send(&room, body).await.is(400);
}

#[tokio::test]
async fn answers_and_forwards_hold_what_they_are_about_if_the_sender_can_see_it() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let (room, secret) = (alice.group(0, &[&bob]).await, alice.group(0, &[]).await);
    let said = id(&alice.say(&room, "hello").await);
    let hidden = id(&alice.say(&secret, "secret").await);
    let body = json!({ "content": "yes", "replied_message_id": said });
    let answer = bob.send(&room, body).await.good();
    assert_eq!(answer["replied_message"]["content"], "hello");
    for field in ["replied_message_id", "forwarded_message_id"] {
        let body = json!({ "content": "x", field: hidden });
        bob.send(&room, body).await.is(400);
    }
    let forwarded = alice.send(&room, json!({ "forwarded_message_id": hidden })).await.good();
    assert_eq!(forwarded["forwarded_message"]["content"], "secret");
}

#[tokio::test]
async fn attachments_and_meta_come_back_as_they_were_sent() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let room = alice.group(0, &[&bob]).await;
    let first = alice.say(&room, "first").await;
    let mut socket = bob.connect().await;
    let meta = json!({ "aB": { "c_D": [1, null] }, "e f": "g" });
    let body = json!({
        "attachments_id": ["f1", "f2"], "meta": meta, "replied_message_id": first["id"],
    });
    let sent = alice.send(&room, body).await.good();
    let path = format!("/api/chat/{room}/messages/{}", id(&sent));
    let (packet, read) = (socket.until("messages.new").await, bob.get(&path).await.good());
    for row in [&sent, &packet["data"], &read] {
        assert_eq!(row["attachments"], json!([{ "id": "f1" }, { "id": "f2" }]));
        assert_eq!((&row["meta"], &row["content"]), (&meta, &json!(null)));
    }
    // Encrypted by an edit it has none any more; what else there is about it stays.
    alice.poke(&format!("/api/chat/{room}/e2ee/enable")).await.good();
    let edited = alice.patch(&path, sealed("content.edit")).await.good();
    assert_eq!((&edited["attachments"], &edited["is_encrypted"]), (&json!([]), &json!(true)));
    assert_eq!((&edited["meta"], &edited["nonce"]), (&meta, &sent["nonce"]));
    assert_eq!(edited["replied_message_id"], first["id"]);
    assert_eq!(edited["replied_message"]["content"], "first");
}

#[tokio::test]
async fn an_answer_to_what_was_deleted_stays_without_it() {
    let world = World::start().await;
    let alice = world.person("alice");
    let room = alice.group(0, &[]).await;
    let said = alice.say(&room, "gone").await;
    let body = json!({ "content": "yes", "replied_message_id": said["id"] });
    let answer = alice.send(&room, body.clone()).await.good();
    alice.delete(&format!("/api/chat/{room}/messages/{}", id(&said))).await.is(200);
    let path = format!("/api/chat/{room}/messages/{}", id(&answer));
    let answer = alice.get(&path).await.good();
    assert_eq!(answer["replied_message_id"], said["id"]);
    assert_eq!((&answer["replied_message"], &answer["content"]), (&json!(null), &json!("yes")));
    alice.send(&room, body).await.is(400);
}

#[tokio::test]
async fn a_send_repeated_after_its_message_was_deleted_brings_nothing_back() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let room = alice.group(2, &[&bob]).await;
    let body = with(sealed(NEW), json!({ "client_message_id": "c1" }));
    let sent = alice.send(&room, body.clone()).await.good();
    let path = format!("/api/chat/{room}/messages/{}", id(&sent));
    alice.delete_with(&path, sealed("content.delete")).await.is(200);
    let mut socket = bob.connect().await;
    let again = alice.send(&room, body).await.good();
    assert_eq!((&again["id"], &again["ciphertext"]), (&sent["id"], &json!(null)));
    assert!(again["deleted_at"].is_string());
    assert_eq!(socket.all().await.len(), 0);
    alice.get(&path).await.is(404);
}

#[tokio::test]
async fn what_is_in_an_encrypted_room_is_not_handed_on() {
    const REFUSED: &str = "Messages of encrypted rooms cannot be forwarded.";
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let open = alice.group(0, &[&bob]).await;
    let room = alice.group(0, &[]).await;
    let (plain, changed) = (alice.say(&room, "a").await, alice.say(&room, "b").await);
    let answer = json!({ "content": "c", "replied_message_id": changed["id"] });
    let answer = id(&alice.send(&room, answer).await.good());
    let body = json!({ "forwarded_message_id": changed["id"] });
    let shown = id(&alice.send(&open, body).await.good());
    alice.poke(&format!("/api/chat/{room}/e2ee/enable")).await.good();
    let sent = alice.send(&room, sealed(NEW)).await.good();
    for row in [&sent, &plain] {
        let body = json!({ "content": "look", "forwarded_message_id": row["id"] });
        assert_eq!(alice.send(&open, body).await.is(400), REFUSED);
        let clip = alice.speak(&open, &[("ForwardedMessageId", &id(row))]).await;
        assert_eq!(clip.is(400), REFUSED);
        // Whoever is not in there learns nothing about it.
        let text = bob.send(&open, json!({ "forwarded_message_id": row["id"] })).await.is(400);
        assert_eq!(text, "The message you're forwarding does not exist.");
    }
    // Nor is it seen where it was handed on before it was encrypted.
    let path = format!("/api/chat/{room}/messages/{}", id(&changed));
    alice.patch(&path, sealed("content.edit")).await.good();
    for who in [&alice, &bob] {
        let seen = who.get(&format!("/api/chat/{open}/messages/{shown}")).await.good();
        assert_eq!(seen["forwarded_message_id"], changed["id"]);
        assert_eq!(seen["forwarded_message"], json!(null));
    }
    // In its own room it is.
    let seen = alice.get(&format!("/api/chat/{room}/messages/{answer}")).await.good();
    assert_eq!(seen["replied_message"]["ciphertext"], "AAEC/w==");
}

#[tokio::test]
async fn a_repeated_send_is_the_first_one_and_nobody_hears_of_it_again() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let room = alice.group(2, &[&bob]).await;
    let mut socket = bob.connect().await;
    let body = with(sealed(NEW), json!({ "client_message_id": "c1" }));
    let first = alice.send(&room, body.clone()).await.good();
    // Encrypted again, as ratchets do.
    let again = alice.send(&room, with(body.clone(), json!({ "ciphertext": "CQkJ" }))).await.good();
    assert_eq!((&again["id"], &again["ciphertext"]), (&first["id"], &first["ciphertext"]));
    assert_eq!(socket.all().await.len(), 1);
    // The key is the sender's own, and of this room.
    let others = bob.send(&room, body.clone()).await.good();
    assert_ne!(others["id"], first["id"]);
    let elsewhere = alice.group(2, &[]).await;
    assert_ne!(alice.send(&elsewhere, body.clone()).await.good()["id"], first["id"]);
    // A blank one is none, and an invalid body is refused all the same.
    let blank = with(body.clone(), json!({ "client_message_id": " " }));
    let [one, two] =
        [alice.send(&room, blank.clone()).await.good(), alice.send(&room, blank).await.good()];
    assert_ne!(one["id"], two["id"]);
    alice.send(&room, with(body, json!({ "content": "x" }))).await.is(409);
}

#[tokio::test]
async fn twenty_parallel_sends_with_one_client_message_id_give_one_row() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let room = alice.direct(1, &bob).await;
    let before = alice.rows(&room, 0).await.len();
    let body = with(sealed(NEW), json!({ "client_message_id": "the one" }));
    let sends: Vec<_> = (0..20)
        .map(|_| {
            let (alice, room, body) = (alice.clone(), room.clone(), body.clone());
            tokio::spawn(async move { id(&alice.send(&room, body).await.good()) })
        })
        .collect();
    let mut ids = std::collections::BTreeSet::new();
    for send in sends {
        ids.insert(send.await.unwrap());
    }
    assert_eq!(ids.len(), 1);
    assert_eq!(alice.rows(&room, 0).await.len(), before + 1);
}

#[tokio::test]
async fn what_was_handed_on_from_a_room_goes_with_it_and_the_rest_stays() {
    let world = World::start().await;
    let alice = world.person("alice");
    let [from, to] = [alice.group(0, &[]).await, alice.group(0, &[]).await];
    let said = alice.say(&from, "hello").await;
    let body = json!({ "forwarded_message_id": said["id"] });
    let sent = alice.send(&to, body).await.good();
    assert_eq!(sent["forwarded_message"]["content"], "hello");
    alice.delete(&format!("/api/chat/{from}")).await.is(204);
    let rows = alice.rows(&to, 0).await;
    assert_eq!((&rows[0]["id"], &rows[0]["forwarded_message"]), (&sent["id"], &json!(null)));
    alice.get("/api/chat/summary").await.good();
}

#[tokio::test]
async fn voice_is_refused_in_encrypted_rooms_with_its_own_code_and_heard_in_others() {
    let world = World::start().await;
    let [alice, bob, carol] = world.people(["alice", "bob", "carol"]);
    let room = alice.group(0, &[&bob]).await;
    let form = || {
        let text = "--x\r\nContent-Disposition: form-data; name=\"File\"; filename=\"a\"\r\n\
                    Content-Type: audio/ogg\r\n\r\nclip\r\n--x\r\nContent-Disposition: form-data; \
                    name=\"DurationMs\"\r\n\r\n1200\r\n--x--\r\n";
        (("content-type", "multipart/form-data; boundary=x"), text)
    };
    let speak = |who: &crate::world::Person, room: &str| {
        let path = format!("/api/chat/{room}/messages/voice");
        let ((name, value), body) = form();
        crate::world::ask(who.request(reqwest::Method::POST, &path).header(name, value).body(body))
    };
    speak(&carol, &room).await.is(403);
    let sent = speak(&bob, &room).await.good();
    assert_eq!((&sent["type"], &sent["meta"]["duration_ms"]), (&json!("voice"), &json!(1200)));
    let clip = sent["meta"]["voice_url"].as_str().unwrap().to_owned();
    alice.poke(&format!("/api/chat/{room}/e2ee/enable")).await.good();
    for who in [&bob, &bob.unable()] {
        speak(who, &room).await.breaks("chat.e2ee_voice_not_supported_v1");
    }
    // Clips of the time before can still be heard, by members.
    let heard = bob.unable().get(&clip).await;
    assert_eq!(heard.headers["content-type"], "audio/ogg");
    assert_eq!(heard.is(200), "clip");
    carol.get(&clip).await.is(403);
    world.stranger().get(&clip).await.is(401);
    // Until the message is deleted.
    let path = format!("/api/chat/{room}/messages/{}", id(&sent));
    bob.delete_with(&path, sealed("content.delete")).await.is(200);
    bob.get(&clip).await.is(404);
    assert_eq!(
        world.tables().query_row("SELECT count(*) FROM voices", [], |row| row.get(0)),
        Ok(0)
    );
}
