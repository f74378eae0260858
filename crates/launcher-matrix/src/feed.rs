//! What the homeserver itself says, before the SDK has looked at it.
//!
//! The SDK decrypts what it reads and drops the ciphertext, and it does not
//! say anything twice. The launcher needs both: the ciphertext, to recognize a
//! replay, and what lies behind the SDK's position, after a kill.

use std::collections::BTreeMap;

use launcher_runtime::ports::journal::Ciphertext;
use matrix_sdk_base::crypto::vodozemac::megolm::MegolmMessage;
use serde_json::Value;

/// A part of a room's timeline, as the homeserver sent it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stretch {
    /// The events, oldest first.
    pub(crate) events: Vec<Value>,
    /// Where what is missing before them can be fetched, if anything is.
    pub(crate) gap: Option<String>,
}

/// The joined rooms' timelines in the answer to a `/sync`.
pub(crate) fn timelines(answer: &Value) -> BTreeMap<String, Stretch> {
    let Some(rooms) = answer["rooms"]["join"].as_object() else { return BTreeMap::new() };
    rooms
        .iter()
        .map(|(room, update)| {
            let timeline = &update["timeline"];
            let stretch = Stretch {
                events: timeline["events"].as_array().cloned().unwrap_or_default(),
                gap: gap(timeline["limited"] == true, timeline["prev_batch"].as_str()),
            };
            (room.clone(), stretch)
        })
        .collect()
}

/// Where to go on backwards, if a timeline is incomplete.
pub(crate) fn gap(limited: bool, prev_batch: Option<&str>) -> Option<String> {
    prev_batch.filter(|_| limited).map(ToOwned::to_owned)
}

/// The id of an event.
pub(crate) fn event_id(event: &Value) -> Option<&str> {
    event["event_id"].as_str()
}

/// Whether an event is encrypted. One that was redacted has lost its
/// ciphertext, and is nothing any more.
pub(crate) fn is_encrypted(event: &Value) -> bool {
    event["type"] == "m.room.encrypted" && event["state_key"].is_null() && !is_redacted(event)
}

/// Whether an event's content was deleted.
pub(crate) fn is_redacted(event: &Value) -> bool {
    event["unsigned"]["redacted_because"].is_object()
}

/// Where the ciphertext of an encrypted event stands in its session.
pub(crate) fn ciphertext(event: &Value) -> Option<Ciphertext> {
    let session = event["content"]["session_id"].as_str()?;
    let message = MegolmMessage::from_base64(event["content"]["ciphertext"].as_str()?).ok()?;
    Some(Ciphertext { session: session.to_owned(), index: message.message_index() })
}

/// Whether `user` was in the room when the event was sent, as far as the
/// server says so (MSC4115). What was said before is history: not to be
/// answered, and not to be complained about where it cannot be read.
pub(crate) fn is_history(event: &Value) -> bool {
    let unsigned = &event["unsigned"];
    let stated = [&unsigned["membership"], &unsigned["io.element.msc4115.membership"]];
    stated.iter().any(|membership| membership.is_string() && **membership != "join")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_timelines_of_an_answer_are_found_with_their_gaps() {
        let answer = json!({ "rooms": { "join": {
            "!a:hs": { "timeline": { "events": [{ "event_id": "$1" }], "limited": true, "prev_batch": "t1" } },
            "!b:hs": { "timeline": { "events": [], "limited": false, "prev_batch": "t2" } },
            "!c:hs": "no object",
        } } });
        let found = timelines(&answer);
        assert_eq!(found["!a:hs"].gap.as_deref(), Some("t1"));
        assert_eq!(event_id(&found["!a:hs"].events[0]), Some("$1"));
        assert_eq!(found["!b:hs"].gap, None);
        assert!(found["!c:hs"].events.is_empty());
        assert!(timelines(&json!(null)).is_empty());
    }

    #[test]
    fn what_was_said_before_the_join_is_history() {
        assert!(is_history(&json!({ "unsigned": { "membership": "invite" } })));
        assert!(!is_history(&json!({ "unsigned": { "membership": "join" } })));
        assert!(!is_history(&json!({})));
    }

    #[test]
    fn a_damaged_ciphertext_has_no_place() {
        let event = json!({ "content": { "session_id": "s", "ciphertext": "AwgA" } });
        assert_eq!(ciphertext(&event), None);
    }
}
