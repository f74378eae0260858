//! Envelopes, as they lie at the server.
//!
//! The ciphertext is a container: which of the sender's identity keys it is
//! from, so that nothing depends on the server's labels, and the Olm message.
//! A *filler* stands where the server wants a payload for a device that gets
//! none; it is not encrypted, says why, and proves nothing.

use vodozemac::{Curve25519PublicKey, olm::OlmMessage};

use super::{
    codec::{Malformed, Reader, Writer},
    ids::{AccountId, Address, DeviceName, EnvelopeId, RoomId},
    parcel::Withheld,
};

const OLM: u8 = 1;
const FILLER: u8 = 2;

/// What an envelope is for; the server's `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EnvelopeKind {
    /// The key of a session: 1.
    SenderKey,
    /// Anything else between two devices: 3.
    Control,
}

/// An envelope that arrived.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// What the server calls it; acknowledge it by this.
    pub id: EnvelopeId,
    /// From whom it is, as the server says.
    pub sender: Address,
    /// What it is for, as the server says: `type` as a number.
    pub kind: i32,
    /// `group_id`, as the server says.
    pub group: Option<RoomId>,
    /// Its bytes.
    pub ciphertext: Vec<u8>,
}

/// Envelopes for all devices of one account, which the server takes together
/// or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fanout {
    /// Whose devices.
    pub account: AccountId,
    /// What they are for.
    pub kind: EnvelopeKind,
    /// The room that they are about: `group_id`.
    pub group: Option<RoomId>,
    /// One for each device, fillers included.
    pub payloads: Vec<Payload>,
    /// What the machine calls them.
    pub(crate) numbers: Vec<i64>,
}

/// What one device gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The device.
    pub device: DeviceName,
    /// The same for every attempt to send it.
    pub client_message_id: String,
    /// Its bytes.
    pub ciphertext: Vec<u8>,
}

impl EnvelopeKind {
    /// The server's number for it.
    pub fn number(self) -> i32 {
        match self {
            Self::SenderKey => 1,
            Self::Control => 3,
        }
    }

    pub(crate) fn from_number(number: i64) -> Option<Self> {
        match number {
            1 => Some(Self::SenderKey),
            3 => Some(Self::Control),
            _ => None,
        }
    }
}

/// What a container holds.
pub(crate) enum Container {
    Olm { from: Curve25519PublicKey, message: Box<OlmMessage> },
    Filler(Withheld),
}

pub(crate) fn filler(reason: Withheld) -> Vec<u8> {
    vec![FILLER, reason.code()]
}

pub(crate) fn wrap(from: &Curve25519PublicKey, message: &OlmMessage) -> Vec<u8> {
    let (kind, bytes) = message.to_parts();
    let mut writer = Writer::default();
    // There are two kinds: 0 and 1.
    writer.byte(OLM).raw(from.as_bytes()).byte(u8::from(kind == 1)).raw(&bytes);
    writer.finish()
}

pub(crate) fn unwrap(bytes: &[u8]) -> Result<Container, Malformed> {
    let mut reader = Reader::new(bytes);
    match reader.byte()? {
        OLM => {
            let from = Curve25519PublicKey::from_bytes(reader.array()?);
            let kind = usize::from(reader.byte()?);
            let rest = reader.rest();
            let message = OlmMessage::from_parts(kind, rest)
                .map_err(|_| Malformed("it holds something that is no Olm message"))?;
            if message.to_parts() != (kind, rest.to_vec()) {
                return Err(Malformed("its Olm message is not in its only form"));
            }
            if let OlmMessage::PreKey(message) = &message
                && message.identity_key() != from
            {
                return Err(Malformed("it is from two devices at once"));
            }
            Ok(Container::Olm { from, message: Box::new(message) })
        }
        FILLER => {
            let reason = Withheld::from_code(reader.byte()?)?;
            reader.end()?;
            Ok(Container::Filler(reason))
        }
        _ => Err(Malformed("it is of a version that is not known")),
    }
}
