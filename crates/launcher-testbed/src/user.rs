//! A user on the engine of Element, and what a test may ask of it.
//!
//! Every method is one request to the driver in JavaScript, which has a method
//! of the same name. Those that wait are woken by events and say, when the
//! time is up, what was awaited and what was there instead.

mod conversing;
mod files;
mod identity;
mod recovery;
mod to_device;
mod verification;

use std::{sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

pub use self::{
    conversing::Edited, files::Downloaded, files::SentFile, identity::UserStatus,
    recovery::Recovered, verification::VerificationEnd,
};
use crate::{
    Account, DEFAULT_TIMEOUT, Device, DeviceStatus, Encryption, JsEngine, Message, MessageFilter,
    RoomOptions, TestbedError,
};

/// How long a login may take, with the keys it makes and uploads.
const LOGIN_LIMIT: Duration = Duration::from_secs(120);

/// How a user behaves from its login on.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LoginOptions {
    /// What the device is called; `testbed` without it.
    pub device_name: Option<String>,
    /// What happens to the user's cross-signing identity.
    pub cross_signing: CrossSigning,
    /// Whose devices it exchanges messages with.
    pub isolation: Isolation,
    /// Whether it encrypts for devices that it has not verified.
    pub unverified_devices: UnverifiedDevices,
}

/// What a login does about the user's cross-signing identity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CrossSigning {
    /// Makes one, and signs the new device with it.
    ///
    /// For the first device of a user. On a second one, where the private keys
    /// are not at hand, it replaces the identity and unsigns the first device;
    /// or it fails, if the private keys are in secret storage.
    #[default]
    Bootstrap,
    /// Replaces the one there is, and signs only the new device.
    Reset,
    /// Nothing: the new device is unsigned, and what other devices of the
    /// account have is not touched. For a further device.
    Leave,
}

/// Whose devices a user exchanges messages with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// Those of everybody in the room.
    #[default]
    AllDevices,
    /// Only those that their owner has signed: it neither encrypts for others
    /// nor decrypts what they send.
    OnlySigned,
}

/// Whether a user encrypts for devices that it has not verified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UnverifiedDevices {
    /// It does.
    #[default]
    Include,
    /// It does not (`globalBlacklistUnverifiedDevices` of the SDK).
    Exclude,
}

/// A user that is logged in on one device and syncs.
///
/// Cheap to clone, and threads can share it.
#[derive(Debug, Clone)]
pub struct JsUser {
    engine: JsEngine,
    handle: u64,
    account: Arc<Account>,
}

impl JsUser {
    pub(crate) fn login(
        engine: JsEngine,
        base_url: &str,
        user_id: &str,
        password: &str,
        options: &LoginOptions,
    ) -> Result<Self, TestbedError> {
        let handle = engine.next_id();
        let mut params = json!(options);
        params["user"] = json!(handle);
        params["homeserver"] = json!(base_url);
        params["user_id"] = json!(user_id);
        params["password"] = json!(password);
        let answer = engine.call(user_id, "login", params, LOGIN_LIMIT)?;
        let account = Arc::new(read(user_id, "login", answer)?);
        Ok(Self { engine, handle, account })
    }

    // === Who it is ===

    /// The whole id, `@alice:localhost`.
    pub fn user_id(&self) -> &str {
        &self.account.user_id
    }

    /// The device of this login.
    pub fn device_id(&self) -> &str {
        &self.account.device_id
    }

    /// The id, the device and the access token together.
    pub fn account(&self) -> &Account {
        &self.account
    }

    // === Rooms ===

    /// Makes a room and returns its id once this user knows its state.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`] when the homeserver refuses.
    pub fn create_room(&self, options: RoomOptions) -> Result<String, TestbedError> {
        self.ask("create_room", json!(options), DEFAULT_TIMEOUT)
    }

    /// Turns encryption on and returns once this user would encrypt.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`] without the power to do so.
    pub fn enable_encryption(
        &self,
        room_id: &str,
        encryption: &Encryption,
    ) -> Result<(), TestbedError> {
        let params = json!({ "room_id": room_id, "encryption": encryption });
        self.ask("enable_encryption", params, DEFAULT_TIMEOUT)
    }

    /// Invites a user, and shares with them the keys of what the room's
    /// history visibility lets them read, as Element does.
    ///
    /// The SDK of the invited user takes these keys only if it has seen the
    /// invitation before it joins; [`Self::wait_for_member`] with its own id
    /// and `invite` waits for that.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`] when the homeserver refuses.
    pub fn invite(&self, room_id: &str, user_id: &str) -> Result<(), TestbedError> {
        self.ask("invite", json!({ "room_id": room_id, "user_id": user_id }), DEFAULT_TIMEOUT)
    }

    /// Joins a room and returns once this user knows its state, so that a
    /// message sent now is encrypted if the room is.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`], with code `M_FORBIDDEN` without an invitation.
    pub fn join(&self, room_id: &str) -> Result<(), TestbedError> {
        self.ask("join", json!({ "room_id": room_id }), DEFAULT_TIMEOUT)
    }

    /// Scrolls back a hundred events from the end of a room, as somebody does who
    /// sees a gap: a client that is slow gets the latest events only.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`] when the homeserver refuses.
    pub fn scroll_back(&self, room_id: &str) -> Result<(), TestbedError> {
        self.ask("scroll_back", json!({ "room_id": room_id }), DEFAULT_TIMEOUT)
    }

    /// Leaves a room.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`] when the homeserver refuses.
    pub fn leave(&self, room_id: &str) -> Result<(), TestbedError> {
        self.ask("leave", json!({ "room_id": room_id }), DEFAULT_TIMEOUT)
    }

    /// Removes a user from a room.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`], with code `M_FORBIDDEN` without the power.
    pub fn kick(&self, room_id: &str, user_id: &str) -> Result<(), TestbedError> {
        self.ask("kick", json!({ "room_id": room_id, "user_id": user_id }), DEFAULT_TIMEOUT)
    }

    /// Sets a state event and returns its id.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`], with code `M_FORBIDDEN` without the power.
    pub fn send_state(
        &self,
        room_id: &str,
        event_type: &str,
        state_key: &str,
        content: &Value,
    ) -> Result<String, TestbedError> {
        let params = json!({ "room_id": room_id, "type": event_type, "state_key": state_key, "content": content });
        self.ask("send_state", params, DEFAULT_TIMEOUT)
    }

    /// Waits until this user sees that another has a membership (`invite`,
    /// `join`, `leave`, `ban`).
    ///
    /// A message is encrypted for those whom its sender sees in the room, so
    /// whoever sends to a newcomer waits for them first.
    ///
    /// # Errors
    ///
    /// [`TestbedError::TimedOut`].
    pub fn wait_for_member(
        &self,
        room_id: &str,
        user_id: &str,
        membership: &str,
        timeout: Duration,
    ) -> Result<(), TestbedError> {
        let params = json!({ "room_id": room_id, "user_id": user_id, "membership": membership });
        self.ask("wait_for_member", params, timeout)
    }

    // === Messages ===

    /// Sends a text and returns its event id once the homeserver has it.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`] when the homeserver refuses.
    pub fn send_text(&self, room_id: &str, body: &str) -> Result<String, TestbedError> {
        self.send(room_id, &json!({ "msgtype": "m.text", "body": body }))
    }

    /// Sends a notice, which well-behaved bots do not answer.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`] when the homeserver refuses.
    pub fn send_notice(&self, room_id: &str, body: &str) -> Result<String, TestbedError> {
        self.send(room_id, &json!({ "msgtype": "m.notice", "body": body }))
    }

    /// Sends a text as a reply to an event.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`] when the homeserver refuses.
    pub fn send_reply(
        &self,
        room_id: &str,
        event_id: &str,
        body: &str,
    ) -> Result<String, TestbedError> {
        let relation = json!({ "m.in_reply_to": { "event_id": event_id } });
        self.send(room_id, &json!({ "msgtype": "m.text", "body": body, "m.relates_to": relation }))
    }

    /// Sends a text into the thread that begins at `root`.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`] when the homeserver refuses.
    pub fn send_in_thread(
        &self,
        room_id: &str,
        root: &str,
        body: &str,
    ) -> Result<String, TestbedError> {
        let relation = json!({
            "rel_type": "m.thread",
            "event_id": root,
            "is_falling_back": true,
            "m.in_reply_to": { "event_id": root },
        });
        self.send(room_id, &json!({ "msgtype": "m.text", "body": body, "m.relates_to": relation }))
    }

    /// Sends any room message; encrypted if the room is.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`] when the homeserver refuses.
    pub fn send(&self, room_id: &str, content: &Value) -> Result<String, TestbedError> {
        self.send_event(room_id, "m.room.message", content)
    }

    /// Sends any event that is not state; encrypted if the room is.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`] when the homeserver refuses.
    pub fn send_event(
        &self,
        room_id: &str,
        event_type: &str,
        content: &Value,
    ) -> Result<String, TestbedError> {
        let params = json!({ "room_id": room_id, "type": event_type, "content": content });
        self.ask("send_event", params, DEFAULT_TIMEOUT)
    }

    /// Everything this user has seen in the room since its login that is not
    /// state, in the order in which it arrived.
    ///
    /// # Errors
    ///
    /// [`TestbedError::EngineGone`] and its like only.
    pub fn messages(&self, room_id: &str) -> Result<Vec<Message>, TestbedError> {
        self.ask("messages", json!({ "room_id": room_id }), DEFAULT_TIMEOUT)
    }

    /// Waits until the user sees a message, which may be there already.
    ///
    /// # Errors
    ///
    /// [`TestbedError::TimedOut`], with the last messages of the room.
    pub fn wait_for_message(
        &self,
        room_id: &str,
        wanted: MessageFilter,
        timeout: Duration,
    ) -> Result<Message, TestbedError> {
        self.ask("wait_for_message", json!({ "room_id": room_id, "wanted": wanted }), timeout)
    }

    /// Waits until the user can read at least `count` replies to an event, and
    /// returns all there are.
    ///
    /// # Errors
    ///
    /// [`TestbedError::TimedOut`], with the last messages of the room.
    pub fn wait_for_replies(
        &self,
        room_id: &str,
        event_id: &str,
        count: usize,
        timeout: Duration,
    ) -> Result<Vec<Message>, TestbedError> {
        let params = json!({ "room_id": room_id, "event_id": event_id, "count": count });
        self.ask("wait_for_replies", params, timeout)
    }

    // === Devices and keys ===

    /// What this user thinks of a device, from what it knows already.
    ///
    /// # Errors
    ///
    /// [`TestbedError::EngineGone`] and its like only.
    pub fn device_status(
        &self,
        user_id: &str,
        device_id: &str,
    ) -> Result<DeviceStatus, TestbedError> {
        self.ask(
            "device_status",
            json!({ "user_id": user_id, "device_id": device_id }),
            DEFAULT_TIMEOUT,
        )
    }

    /// Waits until this user knows a device, and returns what it thinks of it.
    ///
    /// Those who share an encrypted room learn of a new device with a sync
    /// soon after its login; others never do.
    ///
    /// # Errors
    ///
    /// [`TestbedError::TimedOut`].
    pub fn wait_for_device(
        &self,
        user_id: &str,
        device_id: &str,
        timeout: Duration,
    ) -> Result<DeviceStatus, TestbedError> {
        let params = json!({ "user_id": user_id, "device_id": device_id, "signed": false });
        self.ask("wait_for_device", params, timeout)
    }

    /// As [`Self::wait_for_device`], until its owner has signed it as well.
    ///
    /// # Errors
    ///
    /// [`TestbedError::TimedOut`].
    pub fn wait_for_signed_device(
        &self,
        user_id: &str,
        device_id: &str,
        timeout: Duration,
    ) -> Result<DeviceStatus, TestbedError> {
        let params = json!({ "user_id": user_id, "device_id": device_id, "signed": true });
        self.ask("wait_for_device", params, timeout)
    }

    /// The devices of a user, asked of the homeserver now.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`] when the homeserver gives no answer.
    pub fn user_devices(&self, user_id: &str) -> Result<Vec<Device>, TestbedError> {
        self.ask("user_devices", json!({ "user_id": user_id }), DEFAULT_TIMEOUT)
    }

    /// Makes the next message to a room begin a new session.
    ///
    /// # Errors
    ///
    /// [`TestbedError::EngineGone`] and its like only.
    pub fn discard_session(&self, room_id: &str) -> Result<(), TestbedError> {
        self.ask("discard_session", json!({ "room_id": room_id }), DEFAULT_TIMEOUT)
    }

    /// Deletes a device of this user on the homeserver, with the password of
    /// the login.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`] when the homeserver refuses. A device that is not
    /// there counts as deleted.
    pub fn delete_device(&self, device_id: &str) -> Result<(), TestbedError> {
        self.ask("delete_device", json!({ "device_id": device_id }), DEFAULT_TIMEOUT)
    }

    /// Lets this user encrypt for devices that it has not verified, or not,
    /// from its next message on.
    ///
    /// # Errors
    ///
    /// [`TestbedError::EngineGone`] and its like only.
    pub fn set_unverified_devices(&self, wanted: UnverifiedDevices) -> Result<(), TestbedError> {
        let params = json!({ "unverified_devices": wanted });
        self.ask("set_unverified_devices", params, DEFAULT_TIMEOUT)
    }

    // === The end ===

    /// Deletes the device on the homeserver. Only [`Self::stop`] makes sense
    /// after it.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`] when the homeserver gives no answer.
    pub fn logout(&self) -> Result<(), TestbedError> {
        self.ask("logout", json!({}), DEFAULT_TIMEOUT)
    }

    /// Stops syncing and forgets everything, keys included; the device stays
    /// on the homeserver. Every later call fails.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`] when it was stopped before.
    pub fn stop(&self) -> Result<(), TestbedError> {
        self.ask("stop", json!({}), DEFAULT_TIMEOUT)
    }

    fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        mut params: Value,
        timeout: Duration,
    ) -> Result<T, TestbedError> {
        params["user"] = json!(self.handle);
        params["timeout_ms"] = json!(timeout.as_millis());
        let answer = self.engine.call(self.user_id(), method, params, timeout)?;
        read(self.user_id(), method, answer)
    }
}

fn read<T: DeserializeOwned>(user: &str, method: &str, answer: Value) -> Result<T, TestbedError> {
    T::deserialize(&answer)
        .map_err(|_| TestbedError::Unexpected { asked: format!("{method} of {user}"), answer })
}
