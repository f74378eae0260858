//! Nothing that a client sends is the server's fault.
//!
//! The routes and the fields are those of the API's document, so a new one is
//! tried out as well. What is sent follows from a seed: a failure names it.

use serde_json::{Map, Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    chance::Chance,
    world::{Person, World, ask, id},
};

/// Values that somebody may have forgotten about.
fn odd(chance: &mut Chance, depth: usize, ids: &[String]) -> Value {
    match chance.below(if depth == 0 { 12 } else { 14 }) {
        0 => Value::Null,
        1 => Value::Bool(true),
        2 => json!(*chance.one(&[0, 1, -1, 2, i64::MAX, i64::MIN])),
        3 => json!(u64::MAX),
        4 => json!(1e300),
        5 => json!(""),
        6 => json!("\u{0}\u{202e}\u{d7ff} 🙂 ' \" % ; --"),
        7 => json!("x".repeat(*chance.one(&[36, 37, 128, 129, 4097]))),
        8 => json!(chance.one(ids)),
        9 => json!("AAEC/w=="),
        10 => json!(*chance.one(&["2100-01-01T00:00:00Z", "0000-00-00", "9999-12-31T23:59:59Z"])),
        11 => json!("content.new"),
        12 => Value::Array((0..chance.below(3)).map(|_| odd(chance, depth - 1, ids)).collect()),
        _ => {
            let fields = (0..chance.below(3)).map(|n| (n.to_string(), odd(chance, depth - 1, ids)));
            Value::Object(fields.collect())
        }
    }
}

/// A body with the fields of a schema: good ones, odd ones, and none.
fn body(chance: &mut Chance, schema: &Value, document: &Value, ids: &[String]) -> Value {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        return body(chance, &document["components"]["schemas"][name], document, ids);
    }
    if chance.below(6) == 0 {
        return odd(chance, 2, ids);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        return body(chance, &any[0], document, ids);
    }
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.clone(),
        kind => vec![kind.clone()],
    };
    match kinds[0].as_str() {
        Some("object") => {
            let mut fields = Map::new();
            for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
                if chance.below(8) != 0 {
                    fields.insert(name.clone(), body(chance, schema, document, ids));
                }
            }
            Value::Object(fields)
        }
        Some("array") => {
            let items = (0..chance.below(3)).map(|_| body(chance, &schema["items"], document, ids));
            Value::Array(items.collect())
        }
        Some("integer") => json!(*chance.one(&[0, 1, 2, 3])),
        Some("boolean") => json!(chance.below(2) == 0),
        Some("string") if schema["format"] == "uuid" => json!(chance.one(ids)),
        Some("string") if schema["format"] == "date-time" => json!("2100-01-01T00:00:00Z"),
        Some("string") if schema["contentEncoding"] == "base64" => {
            json!(*chance.one(&["AAEC/w==", "", "A===", "eyJjb250ZW50IjoxfQ=="]))
        }
        Some("string") => json!(*chance.one(&["a", "content.new", "content.edit", "megolm.v1"])),
        _ => Value::Null,
    }
}

/// A path with ids that are there, ids that are not, and other things.
fn path(chance: &mut Chance, pattern: &str, ids: &[String]) -> String {
    let parts = pattern.split('/').map(|part| match part.starts_with('{') {
        false => part.to_owned(),
        true if chance.below(8) == 0 => {
            (*chance.one(&["%00", "%ff", "me", "..%2f..", "%F0%9F%99%82", "{}"])).to_owned()
        }
        true => chance.one(ids).clone(),
    });
    let path = parts.collect::<Vec<_>>().join("/");
    match chance.below(4) {
        0 => format!("{path}?take={}&offset=-1&device_id=%00&tk&x=%", chance.next()),
        1 => format!("{path}?take=x&consumeOneTimePreKey=maybe&offset=9223372036854775807"),
        _ => path,
    }
}

async fn ids(alice: &Person, bob: &Person) -> Vec<String> {
    let plain = alice.group(0, &[bob]).await;
    let secret = alice.group(2, &[bob]).await;
    let direct = alice.direct(1, bob).await;
    let said = id(&alice.say(&plain, "hello").await);
    let sealed = crate::world::sealed("content.new");
    let sent = id(&alice.send(&secret, sealed).await.good());
    let other = "0198c0de-0000-7000-8000-000000000001".to_owned();
    vec![
        plain,
        secret,
        direct,
        said,
        sent,
        other,
        alice.id.clone(),
        bob.id.clone(),
        alice.device.clone(),
    ]
}

#[tokio::test]
async fn no_body_on_any_route_is_the_servers_fault() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let ids = ids(&alice, &bob).await;
    let document = messager_server::openapi();
    let mut chance = Chance(7);
    let (mut good, mut refused) = (0, 0);
    for round in 0..40 {
        for (pattern, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                // Rooms that are deleted would be tried out no more.
                if method == "delete" && pattern == "/api/chat/{id}" && round < 39 {
                    continue;
                }
                let path = path(&mut chance, pattern, &ids);
                let who = if chance.below(4) == 0 { bob.unable() } else { alice.clone() };
                let name = method.to_uppercase().parse().unwrap();
                let mut request = who.request(name, &path);
                let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
                if !schema.is_null() {
                    let mut text =
                        body(&mut chance, schema, &document, &ids).to_string().into_bytes();
                    match chance.below(8) {
                        0 => text.truncate(chance.below(text.len().max(1))),
                        1 => text.push(b'}'),
                        2 => {
                            let at = chance.below(text.len());
                            text[at] = u8::try_from(chance.below(256)).unwrap();
                        }
                        _ => {}
                    }
                    request = request.header("content-type", "application/json").body(text);
                }
                let answer = ask(request).await;
                assert!(answer.status < 500, "{method} {path}: {} {}", answer.status, answer.text);
                if answer.status < 300 { good += 1 } else { refused += 1 }
            }
        }
    }
    assert!(good > 200 && refused > 500, "{good} {refused}: the bodies are too good or too bad");
    alice.get("/readyz").await.is(200);
}

#[tokio::test]
async fn bodies_of_the_wrong_form_are_refused_on_every_route_that_takes_one() {
    let world = World::start().await;
    let alice = world.person("alice");
    let room = alice.group(0, &[]).await;
    let document = messager_server::openapi();
    let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
    for (pattern, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if operation["requestBody"].is_null() {
                continue;
            }
            let path = pattern
                .replace("{id}", &room)
                .replace("{message_id}", &room)
                .replace("{account_id}", &alice.id)
                .replace("{peer_id}", &alice.id);
            for wrong in
                ["[]", "null", "5", "\"a\"", "{", "{\"a\":1", "\u{feff}{}", "{'a':1}", &deep]
            {
                let name = method.to_uppercase().parse().unwrap();
                let request = alice.request(name, &path).header("content-type", "application/json");
                let answer = ask(request.body(wrong.to_owned())).await;
                let wrong: String = wrong.chars().take(20).collect();
                assert_eq!(answer.status, 400, "{method} {path} {wrong}: {}", answer.text);
            }
        }
    }
}

#[tokio::test]
async fn no_frame_breaks_a_socket_for_others() {
    let world = World::start().await;
    let [alice, bob] = world.people(["alice", "bob"]);
    let ids = ids(&alice, &bob).await;
    let mut chance = Chance(11);
    let mut socket = alice.connect().await;
    let types = ["messages.send", "messages.read", "messages.typing", "messages.subscribe", "x"];
    for _ in 0..400 {
        let mut data = odd(&mut chance, 2, &ids);
        if let Value::Object(data) = &mut data {
            data.insert("chat_room_id".into(), json!(chance.one(&ids)));
            data.insert("content".into(), odd(&mut chance, 1, &ids));
        }
        let packet = json!({
            "type": *chance.one(&types), "data": data, "endpoint": "DysonNetwork.Messager",
        });
        let mut bytes = packet.to_string().into_bytes();
        match chance.below(5) {
            0 => bytes.truncate(chance.below(bytes.len())),
            1 => bytes = odd(&mut chance, 2, &ids).to_string().into_bytes(),
            _ => {}
        }
        socket.raw(Message::binary(bytes)).await;
    }
    socket.all().await;
    // A frame of more than is read at all cuts off its own socket only.
    let mut other = bob.connect().await;
    socket.raw(Message::binary(vec![b' '; 900 * 1024])).await;
    socket.until("error").await;
    let too_long = vec![b' '; 2 * 1024 * 1024];
    tokio::select! {
        () = socket.raw(Message::binary(too_long)) => {}
        packet = other.next() => panic!("{packet:?}"),
    }
    assert_eq!(other.all().await.len(), 0);
    alice.get("/healthz").await.is(200);
}
