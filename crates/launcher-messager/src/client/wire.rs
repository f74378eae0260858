//! What stands in bodies.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, Error as _},
};
use serde_json::value::RawValue;

use super::error::cut;
use crate::crypto::{AccountId, Address, DeviceName, Envelope, EnvelopeId, RoomId};

/// A list whose elements are read one by one: what one of them has in it, above
/// all how deep it is nested, does not hide the others.
pub(super) type Elements = Vec<Box<RawValue>>;

/// An element; `None` if it is none.
pub(super) fn element<T: DeserializeOwned>(raw: &RawValue) -> Option<T> {
    serde_json::from_str(raw.get()).ok()
}

/// A field without which the rest can be read: what is none counts as missing. Not for what
/// can have itself in it, as each one begins to count the depth anew.
pub(super) fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let raw = Option::<Box<RawValue>>::deserialize(deserializer)?;
    Ok(raw.as_deref().and_then(element))
}

/// Bytes, in bodies as base64 with padding.
#[derive(Default)]
pub(super) struct Octets(pub(super) Vec<u8>);

impl Serialize for Octets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Self).map_err(|_| D::Error::custom("not base64"))
    }
}

/// Milliseconds since 1970, in bodies ISO 8601 or the number. What lies before is
/// as good as 1970.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(pub(super) u64);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Moment;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a moment")
            }

            fn visit_u64<E: serde::de::Error>(self, millis: u64) -> Result<Moment, E> {
                Ok(Moment(millis))
            }

            fn visit_i64<E: serde::de::Error>(self, millis: i64) -> Result<Moment, E> {
                Ok(Moment(u64::try_from(millis).unwrap_or_default()))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Moment, E> {
                let time: Timestamp = text.parse().map_err(|_| E::custom("no moment"))?;
                self.visit_i64(time.as_millisecond())
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Names that people give, cut: they are shown.
pub(super) fn short(name: &str) -> String {
    cut(name)
}

#[derive(Deserialize)]
struct EnvelopeWire {
    id: EnvelopeId,
    sender_id: AccountId,
    sender_device_id: String,
    #[serde(rename = "type")]
    kind: i32,
    group_id: Option<String>,
    ciphertext: Octets,
}

#[derive(Deserialize)]
struct IdWire {
    id: EnvelopeId,
}

/// An envelope; otherwise its id, if it has one.
pub(crate) fn as_envelope(raw: &RawValue) -> Result<Envelope, Option<EnvelopeId>> {
    let id = || element(raw).map(|IdWire { id }| id);
    let read: EnvelopeWire = element(raw).ok_or_else(id)?;
    let device = DeviceName::new(read.sender_device_id).map_err(|_| id())?;
    Ok(Envelope {
        id: read.id,
        sender: Address::new(read.sender_id, device),
        kind: read.kind,
        group: read.group_id.and_then(|group| RoomId::parse(&group).ok()),
        ciphertext: read.ciphertext.0,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json, value::to_raw_value};

    use super::*;

    #[test]
    fn a_moment_is_read_in_both_forms() {
        let read = |value: Value| Moment::deserialize(&value).map(|moment| moment.0).ok();
        assert_eq!(read(json!("2025-11-13T02:13:20.120Z")), Some(1_763_000_000_120));
        assert_eq!(read(json!(1_763_000_000_120_u64)), Some(1_763_000_000_120));
        assert_eq!(read(json!("1960-11-13T02:13:20Z")), Some(0), "as good as 1970");
        assert_eq!(read(json!(-1)), Some(0));
        assert_eq!(read(json!("some day")), None);
        assert_eq!(read(json!(null)), None);
    }

    #[test]
    fn an_envelope_that_cannot_be_read_has_its_id_still() {
        let id = "0193b1c2-aaaa-7bbb-8ccc-0123456789ab";
        let good = json!({
            "id": id, "sender_id": id, "sender_device_id": "phone", "type": 1, "group_id": id,
            "ciphertext": "AQI=",
        });
        let as_envelope = |value: &Value| as_envelope(&to_raw_value(value).unwrap());
        let envelope = as_envelope(&good).unwrap();
        assert_eq!(envelope.ciphertext, [1, 2]);
        assert_eq!(envelope.group, RoomId::parse(id).ok());
        let mut bad = good;
        bad["ciphertext"] = json!("AQI");
        assert_eq!(as_envelope(&bad).unwrap_err(), EnvelopeId::parse(id).ok());
        assert_eq!(as_envelope(&json!([7])).unwrap_err(), None);
    }
}
