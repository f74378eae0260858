//! What a user of the testbed sees: messages, devices, and how far to trust them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A message as one user sees it, after decryption where that worked.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Message {
    /// The id that the homeserver gave it.
    pub event_id: String,
    /// The room it is in.
    pub room_id: String,
    /// The id of the user who sent it.
    pub sender: String,
    /// `m.room.message`, say; `m.room.encrypted` as long as it is being
    /// decrypted.
    #[serde(rename = "type")]
    pub event_type: String,
    /// `m.text` or `m.notice`, say; none for what is not a room message.
    pub msgtype: Option<String>,
    /// The text. For a message that cannot be decrypted, what the SDK says
    /// about it.
    pub body: Option<String>,
    /// The whole content, as it was sent; later edits do not change it.
    pub content: Value,
    /// The content as it went over the wire, which for an encrypted message is
    /// what everybody can see.
    pub wire_content: Value,
    /// Whether it was encrypted on the wire.
    pub encrypted: bool,
    /// Why it cannot be read, in the words of the SDK
    /// (`MEGOLM_UNKNOWN_INBOUND_SESSION_ID`).
    pub decryption_failure: Option<String>,
    /// Whether it could not be read at any moment since it was first seen; it
    /// may be readable now.
    pub ever_failed: bool,
    /// The curve25519 key of the device that sent it, once decrypted.
    pub sender_key: Option<String>,
    /// What Element would warn about; none for what was not encrypted.
    pub shield: Option<Shield>,
    /// Whether its content was deleted.
    pub redacted: bool,
    /// When the homeserver got it, in milliseconds since 1970.
    pub timestamp: u64,
}

/// The warning that Element draws beside a message.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Shield {
    /// `none`, `grey` or `red`.
    pub color: String,
    /// Why (`UNSIGNED_DEVICE`), unless the color is `none`.
    pub reason: Option<String>,
}

/// Which message to wait for. What is not said is not asked.
///
/// Only what can be read matches, unless [`Self::undecryptable`] was asked
/// for; a message that is decrypted late matches then.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(default)]
pub struct MessageFilter {
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    event_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_contains: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    msgtype: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reaction_to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    undecryptable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    decryption_failure: Option<String>,
}

/// One device of a user, as published on the homeserver.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Device {
    /// Its id.
    pub device_id: String,
    /// The name that its owner gave it.
    pub display_name: Option<String>,
    /// The key that it signs with, also called its fingerprint.
    pub ed25519: Option<String>,
    /// The key that others encrypt to.
    pub curve25519: Option<String>,
}

/// How far one user trusts a device.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DeviceStatus {
    /// Whether the device is known at all. The rest is false if it is not.
    pub known: bool,
    /// Whether its owner has signed it with a cross-signing identity.
    pub signed_by_owner: bool,
    /// Whether, on top of that, the one who was asked has verified that identity.
    pub cross_signing_verified: bool,
    /// Whether the one who was asked has marked this very device as verified.
    pub locally_verified: bool,
}

impl Message {
    /// The id of the event that this one replies to.
    pub fn reply_to(&self) -> Option<&str> {
        self.relation()?["m.in_reply_to"]["event_id"].as_str()
    }

    /// The id of the root of the thread that this message is in.
    pub fn thread_root(&self) -> Option<&str> {
        let relation = self.relation()?;
        (relation["rel_type"] == "m.thread").then(|| relation["event_id"].as_str()).flatten()
    }

    /// The relation, which encryption leaves outside for the homeserver to see.
    fn relation(&self) -> Option<&Value> {
        [&self.content, &self.wire_content]
            .into_iter()
            .find_map(|content| content.get("m.relates_to"))
    }
}

impl MessageFilter {
    /// Any message that can be read.
    pub fn new() -> Self {
        Self::default()
    }

    /// The message with this id.
    #[must_use]
    pub fn event_id(mut self, event_id: &str) -> Self {
        self.event_id = Some(event_id.to_owned());
        self
    }

    /// Only of this user.
    #[must_use]
    pub fn sender(mut self, user_id: &str) -> Self {
        self.sender = Some(user_id.to_owned());
        self
    }

    /// Only events of this type, such as `m.reaction`.
    #[must_use]
    pub fn event_type(mut self, event_type: &str) -> Self {
        self.event_type = Some(event_type.to_owned());
        self
    }

    /// Only with exactly this text.
    #[must_use]
    pub fn body(mut self, body: &str) -> Self {
        self.body = Some(body.to_owned());
        self
    }

    /// Only with this somewhere in the text.
    #[must_use]
    pub fn body_contains(mut self, part: &str) -> Self {
        self.body_contains = Some(part.to_owned());
        self
    }

    /// Only of this kind, such as `m.notice`.
    #[must_use]
    pub fn msgtype(mut self, msgtype: &str) -> Self {
        self.msgtype = Some(msgtype.to_owned());
        self
    }

    /// Only in reply to this event.
    #[must_use]
    pub fn reply_to(mut self, event_id: &str) -> Self {
        self.reply_to = Some(event_id.to_owned());
        self
    }

    /// Only reactions to this event; what they say is in
    /// `content["m.relates_to"]["key"]`.
    #[must_use]
    pub fn reaction_to(mut self, event_id: &str) -> Self {
        self.reaction_to = Some(event_id.to_owned());
        self
    }

    /// Only in the thread with this root.
    #[must_use]
    pub fn thread(mut self, root: &str) -> Self {
        self.thread = Some(root.to_owned());
        self
    }

    /// Only what cannot be decrypted at this moment; of the other wishes, only
    /// the id and the sender count then.
    #[must_use]
    pub fn undecryptable(mut self) -> Self {
        self.undecryptable = true;
        self
    }

    /// As [`Self::undecryptable`], and only for this reason, in the words of
    /// the SDK.
    #[must_use]
    pub fn failed_with(mut self, reason: &str) -> Self {
        self.decryption_failure = Some(reason.to_owned());
        self.undecryptable()
    }
}
