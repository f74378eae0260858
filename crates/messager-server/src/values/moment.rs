//! Points in time.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use jiff::Timestamp;
use rusqlite::{
    ToSql,
    types::{FromSql, FromSqlResult, ToSqlOutput, ValueRef},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Milliseconds since 1970 in UTC. In bodies ISO 8601 with `Z`; read with any
/// offset and rounded down to the millisecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Moment(pub i64);

impl Moment {
    /// What the clock of this computer says.
    pub(crate) fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// That much later.
    #[must_use]
    pub(crate) fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// That much earlier.
    #[must_use]
    pub(crate) fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The millisecond behind this one.
    #[must_use]
    pub(crate) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = Timestamp::from_millisecond(self.0).unwrap_or(Timestamp::MAX);
        write!(formatter, "{time:.3}")
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time: Timestamp =
            text.parse().map_err(|_| D::Error::custom("not a time in ISO 8601 with an offset"))?;
        match time.as_millisecond() {
            millis @ 0.. => Ok(Self(millis)),
            _ => Err(D::Error::custom("not a time from 1970 on")),
        }
    }
}

impl JsonSchema for Moment {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

impl ToSql for Moment {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl FromSql for Moment {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_with_milliseconds_and_a_z() {
        assert_eq!(Moment(1_763_000_000_120).to_string(), "2025-11-13T02:13:20.120Z");
        assert_eq!(Moment(i64::MAX).to_string().chars().last(), Some('Z'));
    }

    #[test]
    fn a_moment_is_read_with_any_offset() {
        let read = |text: &str| serde_json::from_str::<Moment>(&format!("{text:?}"));
        assert_eq!(read("2025-11-13T02:13:20.1209Z").unwrap(), Moment(1_763_000_000_120));
        assert_eq!(read("2025-11-13T03:13:20+01:00").unwrap(), Moment(1_763_000_000_000));
        read("2025-11-13T03:13:20").unwrap_err();
        read("yesterday").unwrap_err();
        read("1969-12-31T23:59:59Z").unwrap_err();
    }
}
