//! Signs what is posted, as Standard Webhooks 1.0.0 has it, so that there are
//! libraries for checking it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use launcher_core::secret::Secret;
use sha2::Sha256;

/// The signature of a body, which is posted under `id` at a moment in seconds
/// since 1970.
pub(super) fn sign(key: &Secret<Vec<u8>>, id: &str, timestamp: u64, body: &[u8]) -> String {
    // HMAC takes a key of any length, so there is no error.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.expose()) else { return String::new() };
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn the_signature_is_the_one_that_others_compute() {
        let secret = Secret::new(STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap());
        let body = br#"{"test": 2432232314}"#;
        let signed = sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn id_moment_body_and_key_are_all_signed() {
        let (key, other) = (Secret::new(b"key".to_vec()), Secret::new(b"kez".to_vec()));
        let signed = sign(&key, "a", 1, b"x");
        assert_ne!(signed, sign(&key, "a", 2, b"x"));
        assert_ne!(signed, sign(&key, "b", 1, b"x"));
        assert_ne!(signed, sign(&key, "a", 1, b"y"));
        assert_ne!(signed, sign(&other, "a", 1, b"x"));
    }
}
