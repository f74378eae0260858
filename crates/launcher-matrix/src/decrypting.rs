//! Decrypts single events through the SDK.

use std::borrow::Cow;

use matrix_sdk::{
    Room,
    deserialized_responses::TimelineEvent,
    ruma::{events::room::encrypted::OriginalSyncRoomEncryptedEvent, serde::Raw},
};
use serde_json::Value;

/// Decrypts an event as the homeserver sent it. If its key is missing, the
/// result says why, and the key backup is asked in the background.
///
/// What it replies to counts only if that is encrypted as well: a reply can be the
/// answer to a question, and what stands outside can be written by anybody on the
/// way. Some clients have their relations nowhere else, so threads and edits, which
/// decide less, may come from there.
///
/// # Errors
///
/// When the event is malformed or the store fails.
pub(crate) async fn open(room: &Room, event: &Value) -> Result<TimelineEvent, matrix_sdk::Error> {
    let json = serde_json::value::to_raw_value(&without_outer_reply(event))?;
    let raw = Raw::<OriginalSyncRoomEncryptedEvent>::from_json(json);
    room.decrypt_event(&raw, None).await
}

fn without_outer_reply(event: &Value) -> Cow<'_, Value> {
    if event["content"]["m.relates_to"]["m.in_reply_to"].is_null() {
        return Cow::Borrowed(event);
    }
    let mut event = event.clone();
    if let Some(relation) = event["content"]["m.relates_to"].as_object_mut() {
        relation.remove("m.in_reply_to");
    }
    if event["content"]["m.relates_to"].as_object().is_some_and(serde_json::Map::is_empty)
        && let Some(content) = event["content"].as_object_mut()
    {
        content.remove("m.relates_to");
    }
    Cow::Owned(event)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reply_that_is_not_encrypted_is_none_and_a_thread_is_one() {
        let event =
            |relation: Value| json!({ "content": { "ciphertext": "c", "m.relates_to": relation } });
        let left = |relation: Value| without_outer_reply(&event(relation)).into_owned();
        let reply = json!({ "event_id": "$q" });
        assert_eq!(
            left(json!({ "m.in_reply_to": reply })),
            json!({ "content": { "ciphertext": "c" } })
        );
        let thread = json!({ "rel_type": "m.thread", "event_id": "$root" });
        let mut with_reply = thread.clone();
        with_reply["m.in_reply_to"] = reply;
        assert_eq!(left(with_reply), event(thread.clone()));
        assert_eq!(left(thread.clone()), event(thread));
        for odd in [json!(null), json!([]), json!({ "content": 5 })] {
            assert_eq!(*without_outer_reply(&odd), odd);
        }
    }
}
