//! How values are sealed: XChaCha20-Poly1305 under a key derived from the
//! pickle key, with a random nonce in front, bound to the row's place.
//!
//! The pickles of vodozemac's objects are sealed in the same way, and not with
//! its own `encrypt`: that makes key and initialization vector from the key
//! alone, so that many pickles under one key share them, and binds nothing.

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hkdf::Hkdf;
use launcher_core::secret::PickleKey;
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

const NONCE: usize = 24;

/// Seals and opens with one agent's key.
pub(crate) struct Sealer(XChaCha20Poly1305);

/// A value could not be sealed, or does not open.
#[derive(Debug)]
pub(crate) enum SealError {
    Random(String),
    Seal,
    Open,
}

impl Sealer {
    pub(crate) fn new(key: &PickleKey) -> Self {
        let mut derived = [0; 32];
        // 32 bytes is a length that HKDF-SHA256 can always give.
        let expanded =
            Hkdf::<Sha256>::new(None, key.expose()).expand(b"launcher messager", &mut derived);
        debug_assert!(expanded.is_ok());
        let cipher = XChaCha20Poly1305::new(&derived.into());
        derived.zeroize();
        Self(cipher)
    }

    /// Seals `plain` for the place that `parts` name.
    pub(crate) fn seal(&self, plain: &[u8], parts: &[&[u8]]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|error| SealError::Random(error.to_string()))?;
        let sealed = self
            .0
            .encrypt(XNonce::from_slice(&nonce), Payload { msg: plain, aad: &place(parts) })
            .map_err(|_| SealError::Seal)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens what was sealed for the place.
    pub(crate) fn open(
        &self,
        sealed: &[u8],
        parts: &[&[u8]],
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE).ok_or(SealError::Open)?;
        self.0
            .decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad: &place(parts) })
            .map(Zeroizing::new)
            .map_err(|_| SealError::Open)
    }
}

/// The parts, each with its length in front: no two places look the same.
fn place(parts: &[&[u8]]) -> Vec<u8> {
    let length = |part: &[u8]| (part.len() as u64).to_be_bytes();
    parts.iter().flat_map(|part| length(part).into_iter().chain(part.iter().copied())).collect()
}

#[cfg(test)]
mod tests {
    use launcher_core::secret::Secret;

    use super::*;

    fn sealer(key: u8) -> Sealer {
        Sealer::new(&Secret::new([key; 32]))
    }

    #[test]
    fn a_value_opens_in_its_place_and_under_its_key_only() {
        let sealed = sealer(1).seal(b"hi", &[b"pair", b"ab"]).unwrap();
        assert_eq!(sealer(1).open(&sealed, &[b"pair", b"ab"]).unwrap().as_slice(), b"hi");
        assert!(sealer(2).open(&sealed, &[b"pair", b"ab"]).is_err());
        for parts in [[b"pai".as_slice(), b"rab"], [b"group", b"ab"], [b"pair", b"b"]] {
            assert!(sealer(1).open(&sealed, &parts).is_err());
        }
        for position in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[position] ^= 1;
            assert!(sealer(1).open(&damaged, &[b"pair", b"ab"]).is_err());
        }
    }
}
