//! Ids, one type per kind of thing.
//!
//! The `sender_id` of a message is a membership and not an account, while that
//! of an envelope is an account. With one type for all of them the two would be
//! mixed up.

use std::{fmt, str::FromStr};

use rusqlite::{
    ToSql,
    types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use uuid::Uuid;

use crate::values::Moment;

/// The only form that is read: 36 characters with hyphens.
const WRITTEN: usize = 36;

/// Fills `N` bytes with randomness of the operating system.
///
/// # Errors
///
/// When the operating system has none.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

macro_rules! id {
    ($vis:vis $name:ident, $about:literal) => {
        #[doc = $about]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis struct $name(Uuid);

        impl $name {
            /// Makes a new one: version 7, so that rows that are made one after
            /// another lie beside each other.
            ///
            /// # Errors
            ///
            /// When the operating system has no randomness.
            pub(crate) fn new(now: Moment) -> Result<Self, getrandom::Error> {
                let millis = u64::try_from(now.0).unwrap_or(0);
                let id = uuid::Builder::from_unix_timestamp_millis(millis, &random()?);
                Ok(Self(id.into_uuid()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(formatter)
            }
        }

        impl FromStr for $name {
            type Err = NoId;

            fn from_str(text: &str) -> Result<Self, NoId> {
                let id = Some(text).filter(|text| text.len() == WRITTEN);
                id.and_then(|text| Uuid::try_parse(text).ok()).map(Self).ok_or(NoId)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "format": "uuid" })
            }
        }

        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.0.as_bytes())))
            }
        }

        impl From<$name> for rusqlite::types::Value {
            fn from(id: $name) -> Self {
                Self::Blob(id.0.as_bytes().to_vec())
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                let id = Uuid::from_slice(value.as_blob()?);
                id.map(Self).map_err(|error| FromSqlError::Other(Box::new(error)))
            }
        }
    };
}

/// A text that is not a GUID.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("not a GUID of 36 characters")]
pub struct NoId;

id!(pub AccountId, "An account.");
id!(pub(crate) RoomId, "A room.");
id!(pub(crate) MemberId, "An account in a room: what messages call their sender.");
id!(pub(crate) MessageId, "A row of a timeline.");
id!(pub(crate) ReactionId, "A reaction.");
id!(pub(crate) VoiceId, "A voice clip.");
id!(pub(crate) BundleId, "The keys of a device, or of an account.");
id!(pub(crate) SessionId, "A conversation of two accounts in Pass.");
id!(pub(crate) EnvelopeId, "A message in Pass.");

/// A device of an account: one id for Pass, for the websocket and for tokens.
///
/// A text that the server made, or that one with `+watch` behind it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
pub struct DeviceId(pub(crate) String);

impl DeviceId {
    /// The pseudo device of keys that were uploaded for an account as a whole.
    pub(crate) const LEGACY: &str = "legacy-account";

    /// Makes a new one.
    ///
    /// # Errors
    ///
    /// When the operating system has no randomness.
    pub(crate) fn new() -> Result<Self, getrandom::Error> {
        let id = uuid::Builder::from_random_bytes(random()?).into_uuid();
        Ok(Self(id.as_hyphenated().to_string()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_in_the_one_form_that_it_is_written_in() {
        let id = RoomId::new(Moment(1_763_000_000_000)).unwrap();
        assert_eq!(id.to_string().parse::<RoomId>().unwrap(), id);
        assert_eq!(id.to_string().to_uppercase().parse::<RoomId>().unwrap(), id);
        for text in ["", "x", &id.0.as_simple().to_string(), &format!("{{{id}}}")] {
            text.parse::<RoomId>().unwrap_err();
        }
    }

    #[test]
    fn later_ids_sort_behind_earlier_ones() {
        let ids = [1_000, 2_000, 3_000].map(|at| MessageId::new(Moment(at)).unwrap());
        assert!(ids.is_sorted());
    }
}
