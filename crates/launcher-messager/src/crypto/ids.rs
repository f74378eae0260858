//! Names of accounts, devices, rooms, rows and sessions.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The longest device name in bytes, as the server has it.
const MAX_DEVICE: usize = 512;

/// A text that is no name of the wanted kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NameError(&'static str);

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $problem:literal) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// From its 16 bytes.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// Its 16 bytes: what is bound and compared, whatever the spelling.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// From the text that the server uses.
            ///
            /// # Errors
            ///
            /// If it is not a GUID.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                Uuid::try_parse(text).map(Self).map_err(|_| NameError($problem))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(formatter)
            }
        }
    };
}

id!(
    /// An account.
    AccountId, "an account id has to be a GUID"
);
id!(
    /// A room.
    RoomId, "a room id has to be a GUID"
);
id!(
    /// A row of a room's timeline.
    RowId, "a message id has to be a GUID"
);
id!(
    /// An envelope, as the server calls it. Nothing depends on it.
    EnvelopeId, "an envelope id has to be a GUID"
);

/// A device of an account, by the name that it has at the server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceName(String);

/// One device of one account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Address {
    /// The account.
    pub account: AccountId,
    /// Its device.
    pub device: DeviceName,
}

/// A Megolm session: the public half of the key pair that signs in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId([u8; 32]);

impl DeviceName {
    /// Takes a name from the server.
    ///
    /// # Errors
    ///
    /// If it is empty or longer than 512 bytes.
    pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
        let name = name.into();
        match name.len() {
            0 => Err(NameError("a device name has to have a character")),
            1..=MAX_DEVICE => Ok(Self(name)),
            _ => Err(NameError("a device name has 512 bytes at most")),
        }
    }

    /// The name as text. The server made it: escape it before it is shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Address {
    /// Puts both together.
    pub fn new(account: AccountId, device: DeviceName) -> Self {
        Self { account, device }
    }
}

impl SessionId {
    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// From the base64 that vodozemac gives.
    pub(crate) fn from_base64(text: &str) -> Option<Self> {
        vodozemac::base64_decode(text).ok()?.try_into().ok().map(Self)
    }

    /// Its 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&vodozemac::base64_encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_same_however_it_is_spelled() {
        let spelled = "0193b1C2-aaaa-7bbb-8ccc-0123456789AB";
        assert_eq!(RoomId::parse(spelled), RoomId::parse(&spelled.to_lowercase()));
        assert!(RoomId::parse("room 12").is_err());
    }

    #[test]
    fn a_device_name_has_a_length() {
        assert!(DeviceName::new("").is_err());
        assert!(DeviceName::new("d".repeat(512)).is_ok());
        assert!(DeviceName::new("d".repeat(513)).is_err());
    }
}
