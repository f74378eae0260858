//! Values that cross the socket and must not be printed.
//!
//! They stand in the bodies of requests and answers only, never in an address.

use std::fmt;

use launcher_core::secret::{PickleKey, Secret};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::Zeroizing;

/// A password or a recovery key.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(pub Secret<String>);

/// A pickle key; 64 hex digits on the wire.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyText(pub PickleKey);

impl fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::new(text)))
    }
}

impl Serialize for KeyText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut digits = Zeroizing::new(String::with_capacity(64));
        let digit = |half: u8| char::from_digit(half.into(), 16).unwrap_or_default();
        for byte in self.0.expose() {
            digits.push(digit(byte >> 4));
            digits.push(digit(byte & 0x0f));
        }
        serializer.serialize_str(&digits)
    }
}

impl<'de> Deserialize<'de> for KeyText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The message must not repeat what was given.
        let refuse = || de::Error::custom("a pickle key is 64 hex digits");
        let digits = Zeroizing::new(String::deserialize(deserializer)?);
        let mut key = Zeroizing::new([0_u8; 32]);
        if digits.len() != 2 * key.len() {
            return Err(refuse());
        }
        for (byte, pair) in key.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            for &digit in pair {
                let value = char::from(digit).to_digit(16).ok_or_else(refuse)?;
                // A hex digit is at most 15.
                *byte = (*byte << 4) | value as u8;
            }
        }
        Ok(Self(Secret::new(*key)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pickle_key_survives_the_wire() {
        let key = KeyText(Secret::new(std::array::from_fn(|at| (at * 37 % 251) as u8)));
        let json = serde_json::to_string(&key).unwrap();
        assert_eq!(json.len(), 66);
        assert_eq!(serde_json::from_str::<KeyText>(&json).unwrap(), key);
    }

    #[test]
    fn what_is_no_pickle_key_is_refused_without_being_repeated() {
        for wrong in ["hunter2".to_owned(), "g".repeat(64), "ä".repeat(32)] {
            let json = serde_json::to_string(&wrong).unwrap();
            let error = serde_json::from_str::<KeyText>(&json).unwrap_err().to_string();
            assert!(error.contains("64 hex digits") && !error.contains(&wrong), "{error}");
        }
    }

    #[test]
    fn debug_shows_neither() {
        let text = SecretText(Secret::new("hunter2".to_owned()));
        assert_eq!(format!("{text:?}"), "Secret(…)");
        assert_eq!(format!("{:?}", KeyText(Secret::new([7; 32]))), "Secret(…)");
    }
}
