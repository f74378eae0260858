//! What a room is, and how it is encrypted.

use rusqlite::{
    ToSql,
    types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

macro_rules! numbered {
    ($name:ident, $about:literal, { $($number:literal => $variant:ident, $what:literal;)+ }) => {
        #[doc = $about]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum $name {
            $(#[doc = $what] $variant = $number,)+
        }

        impl $name {
            /// The one with this number, if there is one.
            pub(crate) fn of(number: i64) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// Its number.
            pub(crate) fn number(self) -> i64 {
                match self {
                    $(Self::$variant => $number,)+
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_i64(self.number())
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
                json_schema!({ "type": "integer", "enum": [$($number),+] })
            }
        }

        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(self.number().into())
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                let number = value.as_i64()?;
                Self::of(number).ok_or(FromSqlError::OutOfRange(number))
            }
        }
    };
}

numbered!(RoomKind, "What a room is.", {
    0 => Group, "Anybody whom its owner lets in.";
    1 => Direct, "Two people.";
});

numbered!(Mode, "How a room's messages are encrypted.", {
    0 => Plain, "They are not.";
    1 => Direct, "Pairwise, in direct chats.";
    2 => SenderKeys, "With a key of each sender, in groups.";
});

impl Mode {
    /// Whether the server sees no more than ciphertext.
    pub(crate) fn is_encrypted(self) -> bool {
        self != Self::Plain
    }

    /// What `system.e2ee.enabled` calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "None",
            Self::Direct => "E2eeDm",
            Self::SenderKeys => "E2eeSenderKeyGroup",
        }
    }
}
