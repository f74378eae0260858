//! What a message of an encrypted room has to bring, and what it may not.

use serde_json::{Map, Value};

use crate::{
    refusal::{EncryptionRule, Refusal},
    values::is_blank,
    wire::{Payload, SendBody},
};

/// What a message says that it is, outside its ciphertext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    New,
    Edit,
    Delete,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::New => "content.new",
            Self::Edit => "content.edit",
            Self::Delete => "content.delete",
        }
    }
}

/// Names in `meta` that say nothing about what is written. There are none.
const META: [&str; 0] = [];

/// What the JSON of the first clients has in it, in quotes.
const TRACES: [&str; 3] = ["\"content\"", "\"attachments_id\"", "\"nonce\""];

/// Refuses a payload that lacks something.
pub(super) fn complete(payload: &Payload, purpose: Purpose) -> Result<(), Refusal> {
    let is_complete = payload.ciphertext.as_ref().is_some_and(|bytes| !bytes.0.is_empty())
        && !is_blank(payload.scheme.as_deref())
        && payload.message_type.as_deref() == Some(purpose.as_str())
        && payload.epoch.is_none_or(|epoch| epoch >= 0);
    match is_complete {
        true => Ok(()),
        false => Err(Refusal::Encryption(
            EncryptionRule::PayloadRequired,
            "Encrypted payload is required for E2EE rooms.",
        )),
    }
}

/// Refuses a ciphertext that is the JSON of a message.
pub(super) fn sealed(payload: &Payload) -> Result<(), Refusal> {
    match payload.ciphertext.as_ref().is_some_and(|bytes| is_json(&bytes.0)) {
        false => Ok(()),
        true => Err(Refusal::Encryption(
            EncryptionRule::CiphertextInvalid,
            "Ciphertext appears to be plaintext JSON.",
        )),
    }
}

fn is_json(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim();
    if bytes.len() < 2 || !text.starts_with('{') || !text.ends_with('}') {
        return false;
    }
    let text = text.to_lowercase();
    TRACES.iter().any(|trace| text.contains(trace))
}

/// Refuses whatever stands beside the ciphertext.
pub(super) fn nothing_plain(body: &SendBody) -> Result<(), Refusal> {
    let is_plain = !is_blank(body.content.as_deref())
        || body.attachments_id.as_ref().is_some_and(|ids| !ids.is_empty())
        || body.fund_id.is_some()
        || body.poll_id.is_some()
        || body.replied_message_id.is_some()
        || body.forwarded_message_id.is_some()
        || body.meta.as_ref().is_some_and(says_something);
    match is_plain {
        false => Ok(()),
        true => Err(Refusal::Encryption(
            EncryptionRule::PlaintextForbidden,
            "Plaintext fields are forbidden for E2EE rooms.",
        )),
    }
}

fn says_something(meta: &Map<String, Value>) -> bool {
    meta.keys().any(|name| !META.contains(&name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_of_a_message_is_told_from_a_ciphertext() {
        for json in [
            r#"{"content":"hello"}"#,
            " \n{\"CONTENT\": 1}\t",
            r#"{"a":{"attachments_id":[]}}"#,
            r#"{"nonce":""}"#,
        ] {
            assert!(is_json(json.as_bytes()), "{json}");
        }
        for other in
            ["", "{", "{}", r#"{"v":1}"#, r#"["content"]"#, "{content}", "\u{0}{\"content\"}"]
        {
            assert!(!is_json(other.as_bytes()), "{other}");
        }
        assert!(!is_json(&[0xff, b'{', b'}']));
        assert!(is_json(b"{\xff\"content\"}"));
    }
}
