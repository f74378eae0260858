//! Decrypts single events through the SDK.

use matrix_sdk::{
    Room,
    deserialized_responses::TimelineEvent,
    ruma::{events::room::encrypted::OriginalSyncRoomEncryptedEvent, serde::Raw},
};
use serde_json::Value;

/// Decrypts an event as the homeserver sent it. If its key is missing, the
/// result says why, and the key backup is asked in the background.
///
/// # Errors
///
/// When the event is malformed or the store fails.
pub(crate) async fn open(room: &Room, event: &Value) -> Result<TimelineEvent, matrix_sdk::Error> {
    let json = serde_json::value::to_raw_value(event)?;
    let raw = Raw::<OriginalSyncRoomEncryptedEvent>::from_json(json);
    room.decrypt_event(&raw, None).await
}
