//! An identity for an account that has none, step by step.
//!
//! Every step finds out what an earlier attempt has left, and none of them
//! replaces anything: a server can be wrong about what there is.

use launcher_core::secret::Secret;
use launcher_runtime::ports::maintenance::MaintenanceError;
use matrix_sdk_base::crypto::{
    secret_storage::SecretStorageKey, store::types::CrossSigningKeyExport,
};
use serde_json::Value;

use super::{AGAIN, Work, has_identity, identity, trouble};
use crate::{maintenance::refused, rest::RestError};

impl Work<'_> {
    /// Makes an identity for an account that has none; returns the key of the
    /// secret storage that has its private keys.
    pub(super) async fn make_identity(&mut self) -> Result<SecretStorageKey, MaintenanceError> {
        if !self.signing.may_create {
            return Err(refused(
                format!("{} has no cross-signing identity", self.account.user_id),
                "say where the recovery key of a new one is to be saved (--save-recovery-key), or \
                 do this on a terminal",
            ));
        }
        let (storage, is_new) = self.storage_for_identity().await?;
        if is_new {
            let key = Secret::new(storage.to_base58());
            self.operator.keep(&key).map_err(|error| {
                refused(
                    format!("the new recovery key could not be kept: {error}"),
                    "choose another place for it; nothing was changed",
                )
            })?;
            self.at_server().announce_key(&storage).await.map_err(trouble)?;
            self.operator.tell("made secret storage, which the new recovery key opens");
        }
        // What is there is never replaced: the server may be wrong about the identity.
        let existing = self.at_server().cross_signing_keys(&storage).await.map_err(trouble)?;
        let made = identity::make(&self.account.user_id, &existing).map_err(trouble)?;
        let kept = self.at_server().keep_cross_signing_keys(&storage, &made.new).await;
        kept.map_err(trouble)?;
        self.operator.tell("the private keys of a new identity are in secret storage");
        self.publish(&made.public).await?;
        self.operator.tell("published the new identity");
        // Somebody who did the same at the same time may have put other keys there.
        let stored = self.at_server().cross_signing_keys(&storage).await.map_err(trouble)?;
        if !is_same(&stored, &made.private) {
            let kept = self.at_server().keep_cross_signing_keys(&storage, &made.private).await;
            kept.map_err(trouble)?;
        }
        Ok(storage)
    }

    /// The key of the secret storage for a new identity, and whether it is new.
    async fn storage_for_identity(&self) -> Result<(SecretStorageKey, bool), MaintenanceError> {
        let existing = self.at_server().default_key().await.map_err(trouble)?;
        match (existing, &self.signing.recovery_key) {
            (None, None) => Ok((SecretStorageKey::new(), true)),
            (None, Some(_)) => Err(refused(
                "the account has no secret storage that a recovery key could open",
                "leave the recovery key out: the account gets a new one",
            )),
            (Some(_), None) => Err(refused(
                "the account has no cross-signing identity, but secret storage, and its key is \
                 not at hand",
                "give the account's recovery key",
            )),
            (Some(_), Some(key)) => {
                let opened = self.at_server().open(key.expose()).await.map_err(trouble)?;
                let opened = opened.map_err(|layer| {
                    refused(format!("the recovery key: {layer}"), layer.action())
                })?;
                Ok((opened, false))
            }
        }
    }

    async fn publish(&self, public: &Value) -> Result<(), MaintenanceError> {
        let token = self.token.expose();
        let challenge = match self.rest.upload_signing_keys(token, public, None).await {
            Ok(()) => return Ok(()),
            Err(RestError::Api { challenge: Some(challenge), .. }) => challenge,
            Err(error) => return Err(self.trouble(error)),
        };
        // Servers ask before an identity is replaced, and some before the first one.
        let shown = self.query().await?;
        if is_shown(public, &shown, &self.account.user_id) {
            return Ok(());
        }
        if has_identity(&shown, &self.account.user_id) {
            return Err(refused("another client has made an identity in the meantime", AGAIN));
        }
        let Some(password) = self.account.password.as_ref().filter(|_| challenge.takes_password)
        else {
            return Err(refused(
                "the homeserver wants more proof before it takes an identity",
                match challenge.takes_password {
                    true => "do it again with the password, and with the recovery key",
                    false => "make the identity in a client that this homeserver approves of",
                },
            ));
        };
        let auth = challenge.answer(&self.account.user_id, password);
        match self.rest.upload_signing_keys(token, public, Some(auth)).await {
            Err(RestError::Api { challenge: Some(_), message, .. }) => Err(refused(
                format!("the homeserver did not take the password for an identity: {message}"),
                "do it again with the right password, and with the recovery key",
            )),
            other => other.map_err(|error| self.trouble(error)),
        }
    }
}

/// Whether the server shows this very identity; signatures may have come to it.
fn is_shown(public: &Value, keys: &Value, user: &str) -> bool {
    ["master_key", "self_signing_key", "user_signing_key"].iter().all(|name| {
        let own = &public[name]["keys"];
        own.is_object() && *own == keys[format!("{name}s")][user]["keys"]
    })
}

fn is_same(one: &CrossSigningKeyExport, other: &CrossSigningKeyExport) -> bool {
    one.master_key == other.master_key
        && one.self_signing_key == other.self_signing_key
        && one.user_signing_key == other.user_signing_key
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_identity_is_the_same_if_all_three_keys_are() {
        let made = identity::make("@a:hs", &CrossSigningKeyExport::default()).unwrap().public;
        let mut keys = json!({
            "master_keys": { "@a:hs": made["master_key"] },
            "self_signing_keys": { "@a:hs": made["self_signing_key"] },
            "user_signing_keys": { "@a:hs": made["user_signing_key"] },
        });
        keys["master_keys"]["@a:hs"]["signatures"] = json!({ "@a:hs": { "ed25519:D": "s" } });
        assert!(is_shown(&made, &keys, "@a:hs"));
        assert!(!is_shown(&made, &keys, "@b:hs"));
        keys["user_signing_keys"]["@a:hs"]["keys"] = json!({ "ed25519:x": "x" });
        assert!(!is_shown(&made, &keys, "@a:hs"));
        assert!(!is_shown(&made, &json!({}), "@a:hs"));
    }
}
