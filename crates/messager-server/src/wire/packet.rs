//! Packets of the websocket.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Envelope, Member};
use crate::values::{AccountId, DeviceId, EnvelopeId, MemberId, Moment, Octets, RoomId, SessionId};

/// A packet, in both directions. `D` is what `data` is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Packet<D> {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default = "Option::default")]
    pub data: Option<D>,
    #[serde(default)]
    pub endpoint: Option<String>,
    #[serde(default)]
    pub error_message: Option<String>,
}

impl<D> Packet<D> {
    /// One with data.
    pub(crate) fn new(kind: &str, data: D) -> Self {
        Self { kind: kind.to_owned(), data: Some(data), endpoint: None, error_message: None }
    }
}

impl Packet<()> {
    /// One without data.
    pub(crate) fn bare(kind: &str) -> Self {
        Self { kind: kind.to_owned(), data: None, endpoint: None, error_message: None }
    }

    /// One that says what is wrong with a packet of the client.
    pub(crate) fn error(text: impl Into<String>) -> Self {
        Self { error_message: Some(text.into()), ..Self::bare("error") }
    }
}

impl<D: Serialize> Packet<D> {
    /// As it is sent.
    ///
    /// # Errors
    ///
    /// When something in it is no JSON; a map with keys that are no texts.
    pub(crate) fn bytes(&self) -> Result<Bytes, serde_json::Error> {
        serde_json::to_vec(self).map(Bytes::from)
    }
}

/// Somebody is typing.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Typing {
    pub room_id: RoomId,
    pub sender_id: MemberId,
    pub sender: Member,
}

/// An envelope as it is pushed: without its status and when it expires.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct EnvelopePacket {
    id: EnvelopeId,
    sender_id: AccountId,
    recipient_id: AccountId,
    session_id: Option<SessionId>,
    #[serde(rename = "type")]
    kind: i64,
    group_id: Option<String>,
    client_message_id: Option<String>,
    sequence: i64,
    ciphertext: Octets,
    header: Option<Octets>,
    signature: Option<Octets>,
    meta: Option<Map<String, Value>>,
    created_at: Moment,
    sender_device_id: DeviceId,
    recipient_account_id: AccountId,
    recipient_device_id: Option<DeviceId>,
    legacy_account_scoped: bool,
}

impl From<&Envelope> for EnvelopePacket {
    fn from(envelope: &Envelope) -> Self {
        let envelope = envelope.clone();
        Self {
            id: envelope.id,
            sender_id: envelope.sender_id,
            recipient_id: envelope.recipient_id,
            session_id: envelope.session_id,
            kind: envelope.kind,
            group_id: envelope.group_id,
            client_message_id: envelope.client_message_id,
            sequence: envelope.sequence,
            ciphertext: envelope.ciphertext,
            header: envelope.header,
            signature: envelope.signature,
            meta: envelope.meta,
            created_at: envelope.created_at,
            sender_device_id: envelope.sender_device_id,
            recipient_account_id: envelope.recipient_account_id,
            recipient_device_id: envelope.recipient_device_id,
            legacy_account_scoped: envelope.legacy_account_scoped,
        }
    }
}
