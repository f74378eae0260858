//! No key and no place in a ratchet is used for two things.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    sync::Arc,
};

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde_json::Value;

use super::{owner, sent_event};
use crate::tap::Request;

/// Base64 as Matrix has it: without padding, and lenient about it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Where an upload keeps keys that are used once, or until they are replaced.
///
/// Each of them counts on its own, so the same id in two of them is no clash.
const LISTS_OF_AN_UPLOAD: [&str; 2] = ["one_time_keys", "fallback_keys"];

/// Finds places in a Megolm session that two different messages were encrypted
/// with. The same message may be sent again.
pub fn reused_message_indices(log: &[Arc<Request>]) -> Vec<String> {
    let mut seen = Seen::default();
    for request in log {
        if let Some((session, index, ciphertext)) = megolm_message(request) {
            let what = || format!("message {index} of session {session}");
            seen.note((session.clone(), index), ciphertext, request, what);
        }
    }
    seen.violations
}

/// Finds one-time and fallback keys that a client uploaded under an id that it
/// had used for another.
pub fn changed_one_time_keys(log: &[Arc<Request>]) -> Vec<String> {
    let mut seen = Seen::default();
    for (request, upload) in uploads(log) {
        for list in LISTS_OF_AN_UPLOAD {
            for (id, key) in upload[list].as_object().into_iter().flatten() {
                // Signed keys are objects, others are strings.
                let Some(key) = key["key"].as_str().or(key.as_str()) else { continue };
                let place = (owner(request).to_owned(), list, id.clone());
                let what = || format!("{id} in {list} of {}", owner(request));
                seen.note(place, key.to_owned(), request, what);
            }
        }
    }
    seen.violations
}

/// Finds devices that were uploaded with two different Ed25519 keys.
pub fn changed_identity_keys(log: &[Arc<Request>]) -> Vec<String> {
    let mut seen = Seen::default();
    for (request, upload) in uploads(log) {
        let device = &upload["device_keys"];
        let (Some(user_id), Some(device_id)) =
            (device["user_id"].as_str(), device["device_id"].as_str())
        else {
            continue;
        };
        let Some(key) = device["keys"][format!("ed25519:{device_id}")].as_str() else { continue };
        let place = (user_id.to_owned(), device_id.to_owned());
        let what = || format!("the Ed25519 key of {user_id}/{device_id}");
        seen.note(place, key.to_owned(), request, what);
    }
    seen.violations
}

/// What was seen at each place, and where it was not the same again.
struct Seen<K> {
    first: HashMap<K, (String, u64)>,
    violations: Vec<String>,
}

impl<K> Default for Seen<K> {
    fn default() -> Self {
        Self { first: HashMap::new(), violations: Vec::new() }
    }
}

impl<K: Eq + Hash> Seen<K> {
    fn note(&mut self, place: K, value: String, request: &Request, what: impl Fn() -> String) {
        match self.first.entry(place) {
            Entry::Vacant(entry) => {
                entry.insert((value, request.number));
            }
            Entry::Occupied(entry) => {
                let (first, number) = entry.get();
                if *first != value {
                    let what = what();
                    self.violations.push(format!(
                        "#{}: {what} is not what it was in #{number}",
                        request.number
                    ));
                }
            }
        }
    }
}

fn uploads(log: &[Arc<Request>]) -> impl Iterator<Item = (&Request, Value)> {
    log.iter()
        .filter(|request| request.path.contains("/keys/upload"))
        .filter_map(|request| Some((&**request, request.json()?)))
}

/// The session, the index and the ciphertext of a request that sends a Megolm
/// message.
fn megolm_message(request: &Request) -> Option<(String, u64, String)> {
    let [_, event_type, _] = sent_event(request)?;
    if event_type != "m.room.encrypted" {
        return None;
    }
    let content = request.json()?;
    let session = content["session_id"].as_str()?.to_owned();
    let ciphertext = content["ciphertext"].as_str()?.to_owned();
    let index = message_index(&BASE64.decode(&ciphertext).ok()?)?;
    Some((session, index, ciphertext))
}

/// The index of a Megolm message: after the version 3 and the tag 8, a varint.
fn message_index(message: &[u8]) -> Option<u64> {
    let [3, 8, rest @ ..] = message else { return None };
    let mut index = 0;
    for (byte, shift) in rest.iter().zip((0..u64::BITS).step_by(7)) {
        index |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(index);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::made_up::{log, request, send},
        *,
    };

    fn encrypted(session: &str, message: &[u8]) -> Request {
        let ciphertext = BASE64.encode(message);
        let body = json!({ "session_id": session, "ciphertext": ciphertext.trim_end_matches('=') });
        send("!r:x", "m.room.encrypted", body)
    }

    fn upload(body: Value) -> Request {
        request("POST", "/_matrix/client/v3/keys/upload", body)
    }

    #[test]
    fn an_index_is_a_varint_after_version_and_tag() {
        assert_eq!(message_index(&[3, 8, 0, 0x12]), Some(0));
        assert_eq!(message_index(&[3, 8, 0xac, 0x02, 0x12]), Some(300));
        assert_eq!(message_index(&[3, 8, 0xac]), None);
        assert_eq!(message_index(&[3, 0x12, 0]), None);
    }

    #[test]
    fn two_messages_at_one_index_are_named() {
        let log = log([
            encrypted("s", &[3, 8, 5, 0x12, 1]),
            encrypted("s", &[3, 8, 6, 0x12, 2]),
            encrypted("t", &[3, 8, 5, 0x12, 3]),
            encrypted("s", &[3, 8, 5, 0x12, 4]),
        ]);
        assert_eq!(
            reused_message_indices(&log),
            ["#4: message 5 of session s is not what it was in #1"]
        );
    }

    #[test]
    fn the_same_message_may_be_sent_again() {
        let again = || encrypted("s", &[3, 8, 5, 0x12, 1]);
        assert_eq!(reused_message_indices(&log([again(), again()])), [""; 0]);
    }

    #[test]
    fn a_one_time_key_keeps_its_id_whoever_signs_it() {
        let signed = |key: &str, by: &str| {
            let key = json!({ "key": key, "signatures": by });
            upload(json!({ "one_time_keys": { "signed_curve25519:AA": key } }))
        };
        let fallback =
            upload(json!({ "fallback_keys": { "signed_curve25519:AA": { "key": "3" } } }));
        let mut elsewhere = signed("4", "d");
        elsewhere.owner = Some("@a:x/B".to_owned());
        let log = log([signed("1", "a"), signed("1", "b"), fallback, elsewhere, signed("2", "c")]);
        assert_eq!(
            changed_one_time_keys(&log),
            ["#5: signed_curve25519:AA in one_time_keys of @a:x/A is not what it was in #1"]
        );
    }

    #[test]
    fn a_device_keeps_its_identity_key() {
        let device = |device_id: &str, key: &str| {
            let keys = json!({ format!("ed25519:{device_id}"): key });
            upload(json!({
                "device_keys": { "user_id": "@a:x", "device_id": device_id, "keys": keys }
            }))
        };
        let log = log([device("A", "1"), device("B", "2"), device("A", "1"), device("A", "3")]);
        assert_eq!(
            changed_identity_keys(&log),
            ["#4: the Ed25519 key of @a:x/A is not what it was in #1"]
        );
    }
}
