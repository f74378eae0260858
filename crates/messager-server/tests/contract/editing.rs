//! Edits and deletes: the message changes, and a row says so.

use serde_json::json;

use crate::world::{World, id, sealed, with};

#[tokio::test]
async fn an_edit_replaces_the_ciphertext_and_adds_a_row() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let room = alice.group(2, &[&bob]).await;
    let body = with(sealed("content.new"), json!({ "client_message_id": "c1" }));
    let sent = alice.send(&room, body.clone()).await.good();
    let path = format!("/api/chat/{room}/messages/{}", id(&sent));
    let mut socket = bob.connect().await;
    let edit = json!({ "ciphertext": "CQkJ", "client_message_id": "e1" });
    let edit = with(sealed("content.edit"), edit);
    let edited = alice.patch(&path, edit.clone()).await.good();
    assert_eq!((&edited["id"], &edited["ciphertext"]), (&sent["id"], &json!("CQkJ")));
    assert_eq!(edited["client_message_id"], "c1", "the key of the first send stays");
    assert_eq!(edited["edited_at"], edited["updated_at"]);
    let row = socket.until("messages.new").await["data"].take();
    assert_eq!((&row["type"], &row["ciphertext"]), (&json!("messages.update"), &json!("CQkJ")));
    assert_eq!((&row["is_encrypted"], &row["client_message_id"]), (&json!(true), &json!("e1")));
    assert_eq!(row["meta"], json!({ "message_id": sent["id"] }));
    assert_eq!(row["created_at"], edited["updated_at"]);
    assert_ne!(row["nonce"], sent["nonce"]);
    // Said again it is done already.
    let again = with(edit.clone(), json!({ "ciphertext": "CAgI" }));
    assert_eq!(alice.patch(&path, again).await.good()["ciphertext"], "CQkJ");
    assert_eq!(socket.all().await.len(), 0);
    // And the first send is found by its own key.
    assert_eq!(alice.send(&room, body).await.good()["id"], sent["id"]);
}

#[tokio::test]
async fn checks_of_an_edit_come_in_the_order_of_the_contract() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let room = alice.group(2, &[&bob]).await;
    let other = alice.group(2, &[]).await;
    let sent = bob.send(&room, sealed("content.new")).await.good();
    let path = |room: &str| format!("/api/chat/{room}/messages/{}", id(&sent));
    alice.unable().patch(&path(&other), json!({})).await.is(404);
    alice.unable().patch(&path(&room), json!({})).await.breaks("chat.e2ee_required");
    let text = alice.patch(&path(&room), json!({})).await.is(403);
    assert_eq!(text, "You can only edit your own messages.");
    let timeout = format!("/api/chat/{room}/members/{}/timeout", bob.id);
    alice.post(&timeout, json!({ "timeout_until": "2100-01-01T00:00:00Z" })).await.is(204);
    bob.patch(&path(&room), json!({})).await.is(403);
    alice.delete(&timeout).await.is(204);
    let path = path(&room);
    bob.patch(&path, json!({})).await.breaks("chat.e2ee_payload_required");
    bob.patch(&path, sealed("content.new")).await.breaks("chat.e2ee_payload_required");
    let body = json!({ "ciphertext": "eyJjb250ZW50IjoiaGkifQ==", "content": "hi" });
    let body = with(sealed("content.edit"), body);
    bob.patch(&path, body.clone()).await.breaks("chat.e2ee_ciphertext_invalid");
    let body = with(body, json!({ "ciphertext": "AAEC" }));
    bob.patch(&path, body).await.breaks("chat.e2ee_plaintext_forbidden");
    // Whoever left edits nothing any more.
    bob.delete(&format!("/api/chat/{room}/members/me")).await.is(204);
    bob.patch(&path, sealed("content.edit")).await.is(403);
}

#[tokio::test]
async fn only_texts_are_edited() {
    let world = World::start().await;
    let alice = world.person("alice");
    let room = alice.group(0, &[]).await;
    let said = alice.say(&room, "a").await;
    alice
        .patch(&format!("/api/chat/{room}/messages/{}", id(&said)), json!({ "content": "b" }))
        .await
        .good();
    let row = alice.rows(&room, 0).await.into_iter().find(|row| row["type"] == "messages.update");
    let row = row.unwrap();
    assert_eq!((&row["content"], &row["meta"]["previous_content"]), (&json!("b"), &json!("a")));
    let path = format!("/api/chat/{room}/messages/{}", id(&row));
    alice.patch(&path, json!({ "content": "c" })).await.is(400);
    alice.delete(&path).await.is(400);
}

#[tokio::test]
async fn what_an_author_puts_into_meta_never_says_which_message_a_row_is_about() {
    let world = World::start().await;
    let alice = world.person("alice");
    let room = alice.group(0, &[]).await;
    let other = id(&alice.say(&room, "other").await);
    let own = json!({ "message_id": other, "previous_content": "x", "color": "red" });
    let said = id(&alice.send(&room, json!({ "content": "a", "meta": own })).await.good());
    let path = format!("/api/chat/{room}/messages/{said}");
    let edited = alice.patch(&path, json!({ "content": "b" })).await.good();
    assert_eq!(edited["meta"], own, "its own is left as it is");
    alice.react(&room, &said).await;
    alice.delete(&path).await.is(200);
    let rows = alice.rows(&room, 0).await;
    let about: Vec<_> = rows.iter().filter(|row| row["type"] != "text").collect();
    let kinds: Vec<_> = about.iter().map(|row| row["type"].clone()).collect();
    assert_eq!(kinds, ["messages.update", "messages.reaction.added", "messages.delete"]);
    assert!(about.iter().all(|row| row["meta"]["message_id"] == said), "{about:?}");
    assert_eq!(about[0]["meta"]["color"], "red");
}

#[tokio::test]
async fn a_message_of_the_time_before_encryption_becomes_an_encrypted_one() {
    let world = World::start().await;
    let alice = world.person("alice");
    let room = alice.group(0, &[]).await;
    let said = alice.say(&room, "in the clear").await;
    alice.poke(&format!("/api/chat/{room}/e2ee/enable")).await.good();
    let path = format!("/api/chat/{room}/messages/{}", id(&said));
    alice.patch(&path, json!({ "content": "b" })).await.breaks("chat.e2ee_payload_required");
    let edited = alice.patch(&path, sealed("content.edit")).await.good();
    assert_eq!((&edited["content"], &edited["is_encrypted"]), (&json!(null), &json!(true)));
    let rows = serde_json::to_string(&alice.rows(&room, 0).await).unwrap();
    assert!(!rows.contains("in the clear"), "{rows}");
}

#[tokio::test]
async fn a_delete_in_an_encrypted_room_needs_its_payload_and_leaves_no_ciphertext() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let room = alice.group(2, &[&bob]).await;
    let body = with(
        sealed("content.new"),
        json!({ "client_message_id": "c1", "ciphertext": "CQkJ".repeat(4000) }),
    );
    let sent = alice.send(&room, body).await.good();
    let path = format!("/api/chat/{room}/messages/{}", id(&sent));
    let edit = with(sealed("content.edit"), json!({ "ciphertext": "CAgI" }));
    alice.patch(&path, edit).await.good();
    let delete = with(sealed("content.delete"), json!({ "client_message_id": "d1" }));
    alice.unable().delete_with(&path, delete.clone()).await.breaks("chat.e2ee_required");
    let inside = with(delete.clone(), json!({ "ciphertext": "eyJjb250ZW50IjoiaGkifQ==" }));
    alice.delete_with(&path, inside.clone()).await.breaks("chat.e2ee_ciphertext_invalid");
    // What is wrong with the payload comes before whose message it is.
    bob.delete_with(&path, inside).await.breaks("chat.e2ee_ciphertext_invalid");
    bob.delete_with(&path, delete.clone()).await.is(403);
    alice.delete(&path).await.breaks("chat.e2ee_payload_required");
    let wrong = with(delete.clone(), json!({ "encryption_message_type": "content.new" }));
    alice.delete_with(&path, wrong).await.breaks("chat.e2ee_payload_required");
    let mut socket = bob.connect().await;
    assert_eq!(alice.delete_with(&path, delete.clone()).await.is(200), "");
    let row = socket.until("messages.new").await["data"].take();
    assert_eq!((&row["type"], &row["is_encrypted"]), (&json!("messages.delete"), &json!(true)));
    assert_eq!(row["meta"], json!({ "message_id": sent["id"] }));
    assert_eq!((&row["client_message_id"], &row["ciphertext"]), (&json!("d1"), &json!("AAEC/w==")));
    alice.get(&path).await.is(404);
    alice.patch(&path, sealed("content.edit")).await.is(404);
    // Said again it is done already; with another key there is nothing to delete.
    alice.delete_with(&path, delete.clone()).await.is(200);
    assert_eq!(socket.all().await.len(), 0);
    alice.unable().delete_with(&path, delete.clone()).await.breaks("chat.e2ee_required");
    bob.delete_with(&path, delete.clone()).await.is(404);
    let other = with(delete, json!({ "client_message_id": "d2" }));
    alice.delete_with(&path, other.clone()).await.is(404);
    alice.unable().delete_with(&path, other).await.is(404);
    let rows = serde_json::to_string(&alice.rows(&room, 0).await).unwrap();
    assert!(!rows.contains("CQkJ") && !rows.contains("CAgI"), "{rows}");
    let folder = world.stop().await;
    let file = fs_err::read(folder.path().join("messager.db")).unwrap();
    assert!(!file.windows(3).any(|part| part == [9, 9, 9]), "the bytes are still in the file");
}

#[tokio::test]
async fn a_delete_says_of_the_message_whether_it_was_encrypted() {
    let world = World::start().await;
    let alice = world.person("alice");
    let room = alice.group(0, &[]).await;
    let said = alice.say(&room, "in the clear").await;
    alice.poke(&format!("/api/chat/{room}/e2ee/enable")).await.good();
    let sent = alice.send(&room, sealed("content.new")).await.good();
    for (row, is_encrypted) in [(&said, false), (&sent, true)] {
        let path = format!("/api/chat/{room}/messages/{}", id(row));
        alice.delete(&path).await.breaks("chat.e2ee_payload_required");
        alice.delete_with(&path, sealed("content.delete")).await.is(200);
        let last = alice.rows(&room, 0).await.pop().unwrap();
        assert_eq!(
            (&last["type"], &last["meta"]["message_id"]),
            (&json!("messages.delete"), &row["id"])
        );
        assert_eq!(
            (&last["is_encrypted"], &last["ciphertext"]),
            (&json!(is_encrypted), &json!("AAEC/w=="))
        );
    }
}

#[tokio::test]
async fn a_delete_without_a_key_has_that_of_its_message() {
    let world = World::start().await;
    let alice = world.person("alice");
    let room = alice.group(0, &[]).await;
    let body = json!({ "content": "a", "client_message_id": "c1" });
    let sent = alice.send(&room, body).await.good();
    let path = format!("/api/chat/{room}/messages/{}", id(&sent));
    alice.delete(&path).await.is(200);
    alice.delete(&path).await.is(404);
    let rows = alice.rows(&room, 0).await;
    assert_eq!(rows.last().unwrap()["client_message_id"], "c1");
    assert!(rows.iter().all(|row| row["id"] != sent["id"]), "the message is not in a sync");
}
