//! How content is sealed: XChaCha20-Poly1305 under a key derived from the
//! pickle key, with a random nonce in front.
//!
//! Each seal is bound to its place, so that content which somebody moves to
//! another row does not open there.

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hkdf::Hkdf;
use launcher_core::secret::PickleKey;
use serde::{Serialize, de::DeserializeOwned};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

const NONCE: usize = 24;

/// Seals and opens with one agent's key.
pub(crate) struct Sealer(XChaCha20Poly1305);

/// Where sealed content belongs: the table, and what names the row.
pub(crate) struct Place<'a>(&'a [&'a str]);

/// Content could not be sealed, or does not open.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealError {
    #[error("sealing did not work: {0}")]
    Seal(String),
    #[error("it does not open")]
    Open,
}

impl<'a> Place<'a> {
    pub(crate) fn new(parts: &'a [&'a str]) -> Self {
        Self(parts)
    }

    /// The parts, each with its length in front: no two places look the same.
    fn bytes(&self) -> Vec<u8> {
        self.0
            .iter()
            .flat_map(|part| (part.len() as u64).to_be_bytes().into_iter().chain(part.bytes()))
            .collect()
    }
}

impl Sealer {
    pub(crate) fn new(key: &PickleKey) -> Self {
        let mut derived = [0; 32];
        // 32 bytes is a length that HKDF-SHA256 can always give.
        let expanded =
            Hkdf::<Sha256>::new(None, key.expose()).expand(b"launcher journal", &mut derived);
        debug_assert!(expanded.is_ok());
        let cipher = XChaCha20Poly1305::new(&derived.into());
        derived.zeroize();
        Self(cipher)
    }

    /// Seals `content`, as JSON, for `place`.
    pub(crate) fn seal(
        &self,
        content: &impl Serialize,
        place: &Place<'_>,
    ) -> Result<Vec<u8>, SealError> {
        let problem = |error: &dyn std::fmt::Display| SealError::Seal(error.to_string());
        let plain = Zeroizing::new(serde_json::to_vec(content).map_err(|error| problem(&error))?);
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|error| problem(&error))?;
        let sealed = self
            .0
            .encrypt(XNonce::from_slice(&nonce), Payload { msg: &plain, aad: &place.bytes() })
            .map_err(|error| problem(&error))?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens what was sealed for `place`.
    pub(crate) fn open<T: DeserializeOwned>(
        &self,
        sealed: &[u8],
        place: &Place<'_>,
    ) -> Result<T, SealError> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE).ok_or(SealError::Open)?;
        let plain = self
            .0
            .decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad: &place.bytes() })
            .map(Zeroizing::new)
            .map_err(|_| SealError::Open)?;
        serde_json::from_slice(&plain).map_err(|_| SealError::Open)
    }
}

#[cfg(test)]
mod tests {
    use launcher_core::secret::Secret;

    use super::*;

    fn sealer(key: u8) -> Sealer {
        Sealer::new(&Secret::new([key; 32]))
    }

    fn open(sealer: &Sealer, sealed: &[u8], parts: &[&str]) -> Option<String> {
        sealer.open(sealed, &Place::new(parts)).ok()
    }

    #[test]
    fn content_opens_in_its_place_and_under_its_key_only() {
        let sealed = sealer(1).seal(&"hi", &Place::new(&["inbox", "$ab"])).unwrap();
        assert_eq!(open(&sealer(1), &sealed, &["inbox", "$ab"]).as_deref(), Some("hi"));
        assert_eq!(open(&sealer(2), &sealed, &["inbox", "$ab"]), None);
        for parts in [&["outbox", "$ab"], &["inbox", "$b"], &["inbox$", "ab"]] {
            assert_eq!(open(&sealer(1), &sealed, parts), None, "{parts:?}");
        }
    }

    #[test]
    fn the_same_content_never_looks_the_same() {
        let place = Place::new(&["inbox", "$a"]);
        assert_ne!(sealer(1).seal(&"hi", &place).unwrap(), sealer(1).seal(&"hi", &place).unwrap());
    }

    #[test]
    fn damaged_content_does_not_open() {
        let sealed = sealer(1).seal(&"hi", &Place::new(&["inbox"])).unwrap();
        for position in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[position] ^= 1;
            assert_eq!(open(&sealer(1), &damaged, &["inbox"]), None, "byte {position}");
            assert_eq!(open(&sealer(1), &sealed[..position], &["inbox"]), None);
        }
    }
}
