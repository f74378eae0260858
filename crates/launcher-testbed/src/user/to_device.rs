//! Messages from device to device, whatever they say.

use serde_json::{Value, json};

use super::{JsUser, LOGIN_LIMIT};
use crate::{DEFAULT_TIMEOUT, TestbedError};

impl JsUser {
    /// Sends a message to devices, unencrypted; `messages` is from user ids to
    /// device ids to contents.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`] when the homeserver refuses.
    pub fn send_to_device(&self, event_type: &str, messages: &Value) -> Result<(), TestbedError> {
        let params = json!({ "type": event_type, "messages": messages });
        self.ask("send_to_device", params, DEFAULT_TIMEOUT)
    }

    /// Asks a device for the key of a session `count` times, each time as if
    /// for the first, several at once. Returns when the homeserver has all.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`] when the homeserver refuses one.
    pub fn flood_key_requests(
        &self,
        user_id: &str,
        device_id: &str,
        room_id: &str,
        session_id: &str,
        count: usize,
    ) -> Result<(), TestbedError> {
        let params = json!({
            "user_id": user_id,
            "device_id": device_id,
            "room_id": room_id,
            "session_id": session_id,
            "count": count,
        });
        self.ask("flood_key_requests", params, LOGIN_LIMIT)
    }

    /// Gives a device the key of a session that this user has, encrypted, as if
    /// it had asked for it.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`] when this user does not have the key.
    pub fn forward_room_key(
        &self,
        user_id: &str,
        device_id: &str,
        room_id: &str,
        session_id: &str,
    ) -> Result<(), TestbedError> {
        let params = json!({
            "user_id": user_id,
            "device_id": device_id,
            "room_id": room_id,
            "session_id": session_id,
        });
        self.ask("forward_room_key", params, DEFAULT_TIMEOUT)
    }
}
