//! What a user does about messages that are there already, and sees of it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{DEFAULT_TIMEOUT, JsUser, Message, TestbedError};

/// A message that was changed, as a client shows it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Edited {
    /// Its content now.
    pub content: Value,
    /// The event that changed it last.
    pub latest: Message,
    /// The texts that it had one after the other, without its first.
    pub bodies: Vec<String>,
}

impl JsUser {
    /// Changes a text of this user's and returns the id of the event that does.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`] when the homeserver refuses.
    pub fn edit(&self, room_id: &str, event_id: &str, body: &str) -> Result<String, TestbedError> {
        let content = json!({
            "msgtype": "m.text",
            "body": format!("* {body}"),
            "m.mentions": {},
            "m.new_content": { "msgtype": "m.text", "body": body, "m.mentions": {} },
            "m.relates_to": { "rel_type": "m.replace", "event_id": event_id },
        });
        self.send(room_id, &content)
    }

    /// Reacts to an event and returns the id of the reaction.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`] when the homeserver refuses.
    pub fn react(&self, room_id: &str, event_id: &str, key: &str) -> Result<String, TestbedError> {
        let relation = json!({ "rel_type": "m.annotation", "event_id": event_id, "key": key });
        self.send_event(room_id, "m.reaction", &json!({ "m.relates_to": relation }))
    }

    /// Deletes the content of an event and returns the id of the event that does.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`], with code `M_FORBIDDEN` without the power.
    pub fn redact(&self, room_id: &str, event_id: &str) -> Result<String, TestbedError> {
        let params = json!({ "room_id": room_id, "event_id": event_id });
        self.ask("redact", params, DEFAULT_TIMEOUT)
    }

    /// Waits until a message has a later version whose text contains `part`: one
    /// by its own sender, and encrypted if the message is.
    ///
    /// # Errors
    ///
    /// [`TestbedError::TimedOut`], with the versions there are.
    pub fn wait_for_edit(
        &self,
        room_id: &str,
        event_id: &str,
        part: &str,
        timeout: Duration,
    ) -> Result<Edited, TestbedError> {
        let params = json!({ "room_id": room_id, "event_id": event_id, "body_contains": part });
        self.ask("wait_for_edit", params, timeout)
    }

    /// Waits until the content of an event that this user saw is deleted.
    ///
    /// # Errors
    ///
    /// [`TestbedError::TimedOut`].
    pub fn wait_for_redaction(
        &self,
        room_id: &str,
        event_id: &str,
        timeout: Duration,
    ) -> Result<(), TestbedError> {
        let params = json!({ "room_id": room_id, "event_id": event_id });
        self.ask("wait_for_redaction", params, timeout)
    }

    /// Waits until somebody is seen typing, or no more.
    ///
    /// # Errors
    ///
    /// [`TestbedError::TimedOut`].
    pub fn wait_for_typing(
        &self,
        room_id: &str,
        user_id: &str,
        typing: bool,
        timeout: Duration,
    ) -> Result<(), TestbedError> {
        let params = json!({ "room_id": room_id, "user_id": user_id, "typing": typing });
        self.ask("wait_for_typing", params, timeout)
    }
}
