//! Bytes that stand in bodies as base64.

use std::fmt;

use base64::{
    Engine as _,
    engine::general_purpose::{GeneralPurpose, STANDARD},
};
use rusqlite::{
    ToSql,
    types::{FromSql, FromSqlResult, ToSqlOutput, ValueRef},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Standard alphabet, with padding.
const ENCODING: &GeneralPurpose = &STANDARD;

/// Some bytes; none are `""`.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Octets(pub Vec<u8>);

// They are ciphertexts and keys: how many there are is all that a log may say.
impl fmt::Debug for Octets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Octets({} bytes)", self.0.len())
    }
}

impl Serialize for Octets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&ENCODING.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = ENCODING.decode(text);
        bytes.map(Self).map_err(|_| D::Error::custom("not base64 with padding"))
    }
}

impl JsonSchema for Octets {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Octets".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "contentEncoding": "base64" })
    }
}

impl ToSql for Octets {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(&self.0)))
    }
}

impl FromSql for Octets {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(Self(value.as_blob()?.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_as_padded_base64_only() {
        let read = |text: &str| serde_json::from_str::<Octets>(text);
        assert_eq!(read("\"\"").unwrap(), Octets(vec![]));
        assert_eq!(read("\"AQI=\"").unwrap(), Octets(vec![1, 2]));
        for wrong in ["\"AQI\"", "\"AQ-_\"", "\"AQ\\nI=\"", "5", "[1]"] {
            read(wrong).unwrap_err();
        }
    }

    #[test]
    fn the_debug_form_shows_no_bytes() {
        assert_eq!(format!("{:?}", Octets(b"secret".to_vec())), "Octets(6 bytes)");
    }
}
