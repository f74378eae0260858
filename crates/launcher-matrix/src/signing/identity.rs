//! A cross-signing identity for an account that has none.
//!
//! The SDK makes one too, but from new keys only, and lets a device sign it
//! that nobody will ever find. Here it follows from its three private keys, so
//! that an attempt that was cut off is finished with the keys it has left.

use launcher_core::fault::Fault;
use matrix_sdk::ruma::CanonicalJsonValue;
use matrix_sdk_base::crypto::{
    store::types::CrossSigningKeyExport, vodozemac::Ed25519SecretKey as PrivateKey,
};
use serde_json::{Value, json};

/// An identity that is to be published.
pub(super) struct Made {
    /// What is published: `master_key` and so on.
    pub(super) public: Value,
    pub(super) private: CrossSigningKeyExport,
    /// Those of the private keys that were not there before.
    pub(super) new: CrossSigningKeyExport,
}

/// Makes an identity; nothing is sent. Private keys that are there are kept:
/// an earlier attempt has left them, or they are somebody's only ones.
pub(super) fn make(user: &str, existing: &CrossSigningKeyExport) -> Result<Made, Fault> {
    let mut private = CrossSigningKeyExport::default();
    let mut new = CrossSigningKeyExport::default();
    let master = key(&existing.master_key, &mut private.master_key, &mut new.master_key)?;
    let self_signing =
        key(&existing.self_signing_key, &mut private.self_signing_key, &mut new.self_signing_key)?;
    let user_signing =
        key(&existing.user_signing_key, &mut private.user_signing_key, &mut new.user_signing_key)?;
    let public = json!({
        "master_key": object(user, "master", &master),
        "self_signing_key": signed(object(user, "self_signing", &self_signing), user, &master)?,
        "user_signing_key": signed(object(user, "user_signing", &user_signing), user, &master)?,
    });
    Ok(Made { public, private, new })
}

/// One private key, the one that is there or a new one.
fn key(
    existing: &Option<String>,
    private: &mut Option<String>,
    new: &mut Option<String>,
) -> Result<PrivateKey, Fault> {
    let found = match existing {
        Some(text) => PrivateKey::from_base64(text).map_err(broken)?,
        None => PrivateKey::new(),
    };
    if existing.is_none() {
        *new = Some(found.to_base64());
    }
    *private = existing.clone().or_else(|| new.clone());
    Ok(found)
}

fn object(user: &str, usage: &str, key: &PrivateKey) -> Value {
    let public = key.public_key().to_base64();
    json!({ "user_id": user, "usage": [usage], "keys": { format!("ed25519:{public}"): public } })
}

/// Source: "Signing JSON" in the appendices of the Matrix specification.
fn signed(mut object: Value, user: &str, signer: &PrivateKey) -> Result<Value, Fault> {
    let canonical = CanonicalJsonValue::try_from(object.clone()).map_err(broken)?;
    let signature = signer.sign(canonical.to_string().as_bytes()).to_base64();
    let id = format!("ed25519:{}", signer.public_key().to_base64());
    object["signatures"] = json!({ user: { id: signature } });
    Ok(object)
}

fn broken(error: impl std::fmt::Display) -> Fault {
    Fault::StoreFailed { detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str = "@a:hs";

    #[test]
    fn a_new_identity_is_signed_by_nothing_but_itself() {
        let made = make(USER, &CrossSigningKeyExport::default()).unwrap();
        assert!(made.public["master_key"]["signatures"].is_null());
        let signatures = &made.public["self_signing_key"]["signatures"];
        assert_eq!(signatures[USER].as_object().unwrap().len(), 1);
        assert_eq!(made.private.master_key, made.new.master_key);
        assert!(made.new.user_signing_key.is_some());
    }

    #[test]
    fn keys_that_are_there_are_kept_and_the_others_made() {
        let first = make(USER, &CrossSigningKeyExport::default()).unwrap();
        let mut left = CrossSigningKeyExport::default();
        left.master_key.clone_from(&first.private.master_key);
        let second = make(USER, &left).unwrap();
        assert_eq!(first.public["master_key"], second.public["master_key"]);
        assert_ne!(first.public["self_signing_key"], second.public["self_signing_key"]);
        assert_eq!(second.new.master_key, None);
        assert_eq!(second.private.self_signing_key, second.new.self_signing_key);
        let third = make(USER, &second.private).unwrap();
        assert_eq!(second.public, third.public);
        assert_eq!(third.new.user_signing_key, None);
    }

    #[test]
    fn what_is_no_key_is_not_replaced() {
        let mut broken = CrossSigningKeyExport::default();
        broken.self_signing_key = Some("no key".to_owned());
        assert!(make(USER, &broken).is_err());
    }
}
