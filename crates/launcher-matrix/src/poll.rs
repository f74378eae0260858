//! Waiting for news without a client.
//!
//! An idle agent needs one connection and its sync position, nothing else. The
//! bare `/sync` below consumes nothing: it asks from the position that the SDK
//! has already stored, or from the end of a later answer that held no news, so
//! the server keeps everything for the reading that follows, and giving up in
//! the middle is harmless.

use serde_json::Value;

use crate::lineage;

/// One-time keys on the server below which the SDK should look, so that it
/// uploads more. It keeps 50 there.
const ENOUGH_KEYS: u64 = 40;

/// As little as possible of everything that can be news. State and member
/// lists are left to the SDK's own sync; the timeline is asked for as it was
/// sent, because the SDK does not keep ciphertexts.
pub(crate) fn filter(events: u32) -> String {
    format!(
        concat!(
            r#"{{"presence":{{"not_types":["*"]}},"#,
            r#""room":{{"timeline":{{"limit":{}}},"state":{{"not_types":["*"]}},"#,
            r#""ephemeral":{{"not_types":["*"]}},"account_data":{{"not_types":["*"]}}}}}}"#
        ),
        events
    )
}

/// Events per room that are asked for, and with how many it is tried again when
/// an answer is too large. What is left out then is a gap, which is filled.
pub(crate) const EVENTS: [u32; 3] = [100, 10, 1];

/// Whether an answer to the bare `/sync` holds anything for the SDK to read.
pub(crate) fn has_news(answer: &Value) -> bool {
    let any = |path: &[&str]| {
        let found = path.iter().fold(answer, |value, key| &value[*key]);
        found.as_object().is_some_and(|map| !map.is_empty())
            || found.as_array().is_some_and(|list| !list.is_empty())
    };
    any(&["rooms", "join"])
        || any(&["rooms", "invite"])
        || any(&["rooms", "leave"])
        || any(&["to_device", "events"])
        || any(&["device_lists", "changed"])
        || any(&["device_lists", "left"])
        || account_data(answer).any(|event| event["type"] != lineage::KIND)
        || few_keys(answer)
}

/// The account's data that changed.
pub(crate) fn account_data(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["account_data"]["events"].as_array().into_iter().flatten()
}

/// How many one-time keys the server has for the device, if it says so.
pub(crate) fn one_time_keys(answer: &Value) -> Option<u64> {
    let counts = answer["device_one_time_keys_count"].as_object()?;
    Some(counts.get("signed_curve25519").and_then(Value::as_u64).unwrap_or_default())
}

fn few_keys(answer: &Value) -> bool {
    // A server that leaves the count out says nothing; an object without our
    // algorithm says that there are none.
    answer["device_one_time_keys_count"].as_object().is_some_and(|counts| {
        let left = counts.get("signed_curve25519").and_then(Value::as_u64).unwrap_or(0);
        left < ENOUGH_KEYS
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_after_a_quiet_minute_holds_no_news() {
        let quiet = json!({ "next_batch": "s2", "device_one_time_keys_count": { "signed_curve25519": 50 } });
        assert!(!has_news(&quiet));
        assert!(!has_news(&json!({ "next_batch": "s2", "rooms": { "join": {} } })));
    }

    #[test]
    fn messages_keys_invites_and_used_up_keys_are_news() {
        assert!(has_news(&json!({ "rooms": { "join": { "!r": {} } } })));
        assert!(has_news(&json!({ "rooms": { "invite": { "!r": {} } } })));
        assert!(has_news(&json!({ "to_device": { "events": [{}] } })));
        assert!(has_news(&json!({ "device_lists": { "changed": ["@a:b"] } })));
        assert!(has_news(&json!({ "device_one_time_keys_count": { "signed_curve25519": 39 } })));
        assert!(has_news(&json!({ "device_one_time_keys_count": {} })));
    }

    #[test]
    fn the_filter_is_json() {
        let filter: Value = serde_json::from_str(&filter(7)).unwrap();
        assert_eq!(filter["room"]["timeline"]["limit"], 7);
    }
}
