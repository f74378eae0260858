//! Pickle keys: 64 hex digits. Nothing of the value is ever repeated.

use std::{error::Error, fmt};

use launcher_core::secret::{PickleKey, Secret};
use zeroize::Zeroizing;

use super::Fault;

/// A text that is no pickle key. It is not repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidPickleKey {
    predicate: String,
}

impl fmt::Display for InvalidPickleKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "what was given {}", self.predicate)
    }
}

impl Error for InvalidPickleKey {}

/// The pickle key that a text stands for, on the same terms as in a file.
///
/// # Errors
///
/// [`InvalidPickleKey`], which says why.
pub fn parse_pickle_key(text: &str) -> Result<PickleKey, InvalidPickleKey> {
    pickle_key(text).map_err(|fault| InvalidPickleKey { predicate: fault.predicate })
}

/// The 32 bytes that 64 hex digits stand for.
pub(crate) fn pickle_key(text: &str) -> Result<PickleKey, Fault> {
    let fault = |predicate: String| {
        Fault::new(predicate).hint("make one with `openssl rand -hex 32`; keep it in `.env`")
    };
    if let Some(at) = text.chars().position(|char| !char.is_ascii_hexdigit()) {
        let at = at + 1;
        return Err(fault(format!("is not 64 hex digits: character {at} is not one")));
    }
    if text.len() != 64 {
        let length = text.len();
        return Err(fault(format!("has {length} hex digits where 64 are needed")));
    }
    let mut key = Zeroizing::new([0_u8; 32]);
    let digits = text.bytes().map(|digit| char::from(digit).to_digit(16).unwrap_or_default());
    for (index, digit) in digits.enumerate() {
        if let Some(byte) = key.get_mut(index / 2) {
            // Two digits of at most 15 fill a byte exactly.
            *byte = (*byte << 4) | digit as u8;
        }
    }
    if key.iter().all(|byte| Some(byte) == key.first()) {
        return Err(fault("repeats one byte, which is no key".to_owned()));
    }
    Ok(Secret::new(*key))
}

#[cfg(test)]
mod tests {
    use super::pickle_key;

    #[test]
    fn a_key_is_64_hex_digits_that_differ() {
        let key = pickle_key(&"0Af1".repeat(16)).unwrap();
        assert_eq!(key.expose().first_chunk(), Some(&[0x0a, 0xf1]));
        for (text, predicate) in [
            ("0af1", "has 4 hex digits where 64 are needed"),
            ("0ag1", "is not 64 hex digits: character 3 is not one"),
            (&"00".repeat(32), "repeats one byte, which is no key"),
            (&"ab".repeat(32), "repeats one byte, which is no key"),
        ] {
            assert_eq!(pickle_key(text).unwrap_err().predicate, predicate);
        }
    }
}
