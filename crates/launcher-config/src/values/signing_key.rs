//! Keys with which requests are signed. Nothing of the value is ever repeated.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use launcher_core::secret::Secret;

use super::Fault;

/// What follows this is base64; any other text is a key as it is. From the
/// specification of Standard Webhooks 1.0.0, under "Signature scheme".
const ENCODED: &str = "whsec_";

/// The bytes that a text stands for.
pub(crate) fn signing_key(text: &str) -> Result<Secret<Vec<u8>>, Fault> {
    let Some(encoded) = text.strip_prefix(ENCODED) else {
        return Ok(Secret::new(text.as_bytes().to_vec()));
    };
    // The errors of the decoder quote what they found.
    match STANDARD.decode(encoded) {
        Ok(key) if !key.is_empty() => Ok(Secret::new(key)),
        _ => Err(Fault::new("has no base64 after `whsec_`")
            .hint("make one with `echo \"whsec_$(openssl rand -base64 32)\"`; keep it in `.env`")),
    }
}

#[cfg(test)]
mod tests {
    use super::signing_key;

    #[test]
    fn a_key_is_text_or_base64_that_can_be_decoded() {
        for (text, bytes) in [
            ("key", b"key".as_slice()),
            ("whsec_a2V5", b"key"),
            ("whsec_/+8=", b"\xff\xef"),
            ("WHSEC_!", b"WHSEC_!"),
        ] {
            assert_eq!(signing_key(text).unwrap().expose(), bytes, "{text}");
        }
        for text in ["whsec_", "whsec_key", "whsec_a2V5 ", "whsec__-8=", "whsec_${KEY}"] {
            let fault = signing_key(text).unwrap_err();
            assert_eq!(fault.predicate, "has no base64 after `whsec_`", "{text}");
        }
    }
}
