//! Nothing is sent in the clear into an encrypted room.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;

use super::{decoded, owner, sent_event};
use crate::tap::{Outcome, Request};

/// What may be sent into an encrypted room: what is encrypted, and reactions,
/// which no client encrypts.
const ALLOWED: [&str; 2] = ["m.room.encrypted", "m.reaction"];

/// Where the answer to a sync keeps the events of a room.
const LISTS_OF_A_SYNC: [&str; 5] =
    ["state", "state_after", "org.matrix.msc4222.state_after", "timeline", "invite_state"];

/// Finds events that were sent in the clear when their room was encrypted.
///
/// A room is encrypted from the moment at which the log says so: an answer with
/// its `m.room.encryption` or with an encrypted event was delivered to any
/// client, encryption was turned on by a client, or a client sent something
/// encrypted. `known` are rooms that are encrypted from the beginning.
pub fn plaintext_in_encrypted_rooms(log: &[Arc<Request>], known: &[&str]) -> Vec<String> {
    let encrypted_since = encrypted_rooms(log, known);
    let in_the_clear = log.iter().filter_map(|request| {
        let [room, event_type, _] = sent_event(request)?;
        let since = encrypted_since.get(&room)?;
        let is_violation = !ALLOWED.contains(&event_type.as_str()) && *since <= request.started;
        is_violation.then(|| {
            format!(
                "#{}: {} sent {event_type} in the clear into {room}, which is encrypted",
                request.number,
                owner(request),
            )
        })
    });
    in_the_clear.collect()
}

/// When each room was first known to be encrypted.
fn encrypted_rooms(log: &[Arc<Request>], known: &[&str]) -> BTreeMap<String, Duration> {
    let mut rooms: BTreeMap<String, Duration> =
        known.iter().map(|room| ((*room).to_owned(), Duration::ZERO)).collect();
    for request in log {
        if let Some(room) = room_sent_to(request) {
            note(&mut rooms, room, request.started);
        }
        let Some(ended) = request.ended else { continue };
        for room in rooms_told_of(request) {
            note(&mut rooms, room, ended);
        }
    }
    rooms
}

fn note(rooms: &mut BTreeMap<String, Duration>, room: String, moment: Duration) {
    rooms.entry(room).and_modify(|since| *since = moment.min(*since)).or_insert(moment);
}

fn room_sent_to(request: &Request) -> Option<String> {
    let [room, event_type, _] = sent_event(request)?;
    (event_type == "m.room.encrypted").then_some(room)
}

fn rooms_told_of(request: &Request) -> HashSet<String> {
    let is_success = request.status.is_some_and(|status| (200..300).contains(&status));
    let mut rooms = HashSet::new();
    if !is_success {
        return rooms;
    }
    // What the homeserver has done is done, even if the answer was lost.
    rooms.extend(room_encrypted_by(request));
    rooms.extend(room_created_by(request));
    if request.outcome == Outcome::Delivered {
        rooms.extend(rooms_of_a_sync(request).into_iter().flatten());
        rooms.extend(room_read_by(request));
    }
    rooms
}

fn room_encrypted_by(request: &Request) -> Option<String> {
    let (_, rest) = request.path.split_once("/rooms/")?;
    let (room, rest) = rest.split_once('/')?;
    let is_state = rest.trim_end_matches('/') == "state/m.room.encryption";
    (request.method == "PUT" && is_state).then(|| decoded(room))
}

fn room_created_by(request: &Request) -> Option<String> {
    if !request.path.ends_with("/createRoom") {
        return None;
    }
    let is_encrypted = request.json()?["initial_state"].as_array()?.iter().any(is_encryption);
    let room = request.response_json()?["room_id"].as_str()?.to_owned();
    is_encrypted.then_some(room)
}

fn rooms_of_a_sync(request: &Request) -> Option<Vec<String>> {
    if !request.path.ends_with("/sync") {
        return None;
    }
    let answer = request.response_json()?;
    let rooms = answer["rooms"].as_object()?.values().filter_map(Value::as_object).flatten();
    let encrypted = rooms.filter(|(_, room)| {
        LISTS_OF_A_SYNC.iter().any(|list| tells_of_encryption(&room[*list]["events"]))
    });
    Some(encrypted.map(|(room, _)| room.clone()).collect())
}

/// The room whose events a client has asked for.
fn room_read_by(request: &Request) -> Option<String> {
    let (_, rest) = request.path.split_once("/rooms/")?;
    let (room, what) = rest.split_once('/')?;
    if request.method != "GET" {
        return None;
    }
    let answer = request.response_json()?;
    let is_encrypted = what.starts_with("state/m.room.encryption")
        && answer["algorithm"].is_string()
        || tells_of_encryption(&answer)
        || is_encryption(&answer)
        || tells_of_encryption(&answer["chunk"])
        || tells_of_encryption(&answer["state"]);
    is_encrypted.then(|| decoded(room))
}

fn tells_of_encryption(events: &Value) -> bool {
    events.as_array().is_some_and(|events| events.iter().any(is_encryption))
}

/// Whether an event turns encryption on, or is encrypted.
fn is_encryption(event: &Value) -> bool {
    match event["type"].as_str() {
        Some("m.room.encryption") => event["content"]["algorithm"].is_string(),
        Some("m.room.encrypted") => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::made_up::{answered, log, request, send},
        *,
    };

    const ROOM: &str = "!r:x";

    fn encryption() -> Value {
        json!({ "type": "m.room.encryption", "content": { "algorithm": "m.megolm.v1.aes-sha2" } })
    }

    fn synced(list: &str, event: Value) -> Request {
        let room = json!({ list: { "events": [event] } });
        let answer = json!({ "rooms": { "join": { ROOM: room } } });
        answered(request("GET", "/_matrix/client/v3/sync", json!(null)), 200, answer)
    }

    fn plain() -> Request {
        send("%21r%3Ax", "m.room.message", json!({ "body": "hello" }))
    }

    fn violations(requests: impl IntoIterator<Item = Request>) -> Vec<String> {
        plaintext_in_encrypted_rooms(&log(requests), &[])
    }

    #[test]
    fn a_message_in_the_clear_after_the_room_was_encrypted_is_named() {
        for list in LISTS_OF_A_SYNC {
            assert_eq!(
                violations([synced(list, encryption()), plain()]),
                ["#2: @a:x/A sent m.room.message in the clear into !r:x, which is encrypted"]
            );
        }
        assert_eq!(
            violations([synced("timeline", json!({ "type": "m.room.encrypted" })), plain()]).len(),
            1
        );
    }

    #[test]
    fn a_message_in_the_clear_before_that_is_none() {
        assert_eq!(violations([plain(), synced("state", encryption())]), [""; 0]);
        assert_eq!(violations([plain()]), [""; 0]);
    }

    #[test]
    fn what_a_lost_sync_tells_is_not_known() {
        let mut lost = synced("state", encryption());
        lost.outcome = Outcome::Dropped;
        assert_eq!(violations([lost, plain()]), [""; 0]);
    }

    #[test]
    fn clients_encrypt_rooms_too() {
        let state = "/_matrix/client/v3/rooms/!r:x/state/m.room.encryption/";
        let turned_on = request("PUT", state, json!({ "algorithm": "m.megolm.v1.aes-sha2" }));
        let created = request(
            "POST",
            "/_matrix/client/v3/createRoom",
            json!({ "initial_state": [encryption()] }),
        );
        let created = answered(created, 200, json!({ "room_id": ROOM }));
        let sent = send(ROOM, "m.room.encrypted", json!({}));
        let members = request("GET", "/_matrix/client/v3/rooms/!r:x/state", json!(null));
        let read = answered(members, 200, json!([encryption()]));
        for first in [turned_on, created, sent, read] {
            assert_eq!(violations([first, plain()]).len(), 1);
        }
    }

    #[test]
    fn reactions_and_what_is_encrypted_are_allowed() {
        let reaction = send(ROOM, "m.reaction", json!({}));
        let encrypted = send(ROOM, "m.room.encrypted", json!({}));
        let log = log([reaction, encrypted]);
        assert_eq!(plaintext_in_encrypted_rooms(&log, &[ROOM]), [""; 0]);
    }

    #[test]
    fn a_room_can_be_known_to_be_encrypted() {
        assert_eq!(plaintext_in_encrypted_rooms(&log([plain()]), &[ROOM]).len(), 1);
        assert_eq!(plaintext_in_encrypted_rooms(&log([plain()]), &["!other:x"]), [""; 0]);
    }
}
