//! Signs what is posted, as Standard Webhooks 1.0.0 has it, so that there are
//! libraries for checking it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use launcher_core::secret::Secret;
use sha2::Sha256;

/// A key that begins so is base64; any other is taken as it is.
const ENCODED: &str = "whsec_";

/// The signature of a body, which is posted under `id` at a moment in seconds
/// since 1970.
pub(super) fn sign(secret: &Secret<String>, id: &str, timestamp: u64, body: &[u8]) -> String {
    let text = secret.expose();
    let decoded = text.strip_prefix(ENCODED).and_then(|text| STANDARD.decode(text).ok());
    let key = Secret::new(decoded.unwrap_or_else(|| text.clone().into_bytes()));
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
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned());
        let body = br#"{"test": 2432232314}"#;
        let signed = sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_plain_secret_is_the_key_itself() {
        let plain = Secret::new("key".to_owned());
        let encoded = Secret::new(format!("whsec_{}", STANDARD.encode("key")));
        assert_eq!(sign(&plain, "a", 1, b"x"), sign(&encoded, "a", 1, b"x"));
        assert_ne!(sign(&plain, "a", 1, b"x"), sign(&plain, "a", 2, b"x"));
        assert_ne!(sign(&plain, "a", 1, b"x"), sign(&plain, "b", 1, b"x"));
    }
}
