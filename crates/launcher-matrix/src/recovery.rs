//! Recovery keys: making one, and finding out what one opens.
//!
//! Nothing in here replaces what an account has: where there is secret storage
//! or a key backup already, somebody may have the only key to it.

use std::fmt;

use launcher_core::{fault::Fault, spec};
use matrix_sdk::ruma::events::{
    EventContentFromType, GlobalAccountDataEventType, secret::request::SecretName,
    secret_storage::key::SecretStorageKeyEventContent,
};
use matrix_sdk_base::crypto::{
    secret_storage::{AesHmacSha2EncryptedData, DecodeError, SecretStorageKey},
    store::types::{BackupDecryptionKey, CrossSigningKeyExport},
};
use serde_json::{Value, json, value::to_raw_value};

use crate::rest::Rest;

const DEFAULT_KEY: &str = "m.secret_storage.default_key";

// The secrets without which a device cannot be signed.
const MASTER: &str = "m.cross_signing.master";
const SELF_SIGNING: &str = "m.cross_signing.self_signing";
const USER_SIGNING: &str = "m.cross_signing.user_signing";

const BACKUP: &str = "m.megolm_backup.v1";

/// What does not take a recovery key. Each comes after those before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    /// The text itself: a typing error, most likely.
    Form,
    /// The account has no secret storage that a recovery key could open.
    Absent,
    /// The account's secret storage has another key.
    SecretStorage,
    /// Secret storage opens, and has no cross-signing keys that can be read.
    CrossSigning,
    /// Everything opens but the key backup, which has another key.
    Backup {
        /// Its version.
        version: String,
    },
}

impl Layer {
    /// What an operator can do about it.
    pub(crate) fn action(&self) -> &'static str {
        match self {
            Self::Form => "type it again",
            Self::Absent => "set up recovery in another client of this account first",
            Self::SecretStorage => "find the recovery key that was made last",
            Self::CrossSigning | Self::Backup { .. } => {
                "repair recovery in another client of this account first"
            }
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => formatter
                .write_str("it is no recovery key: its checksum is wrong, so a character may be"),
            Self::Absent => formatter.write_str("the account has no secret storage"),
            Self::SecretStorage => formatter
                .write_str("it does not open the account's secret storage, which has another key"),
            Self::CrossSigning => formatter.write_str(
                "it opens the account's secret storage, which holds no cross-signing keys",
            ),
            Self::Backup { version } => write!(
                formatter,
                "it opens the account's secret storage, but the key in there does not fit key \
                 backup version {version}"
            ),
        }
    }
}

/// An account, asked by hand.
#[derive(Clone, Copy)]
pub(crate) struct Account<'a> {
    pub(crate) account: &'a spec::Account,
    pub(crate) rest: &'a Rest,
    pub(crate) token: &'a str,
}

impl Account<'_> {
    /// Tries a recovery key on everything that it should open, changing nothing.
    ///
    /// # Errors
    ///
    /// Faults of the server; what does not take the key is the inner result.
    pub(crate) async fn try_key(&self, key: &str) -> Result<Result<(), Layer>, Fault> {
        let opened = match self.open(key).await? {
            Ok(opened) => opened,
            Err(layer) => return Ok(Err(layer)),
        };
        if !is_complete(&self.cross_signing_keys(&opened).await?) {
            return Ok(Err(Layer::CrossSigning));
        }
        let Some(backup) = self.backup().await? else { return Ok(Ok(())) };
        let version = backup["version"].as_str().unwrap_or("?").to_owned();
        let public = self.secret(&opened, BACKUP).await?.and_then(|secret| {
            let key = BackupDecryptionKey::from_base64(std::str::from_utf8(&secret).ok()?).ok()?;
            Some(key.megolm_v1_public_key().to_base64())
        });
        let fits = public.is_some_and(|public| backup["auth_data"]["public_key"] == public);
        Ok(if fits { Ok(()) } else { Err(Layer::Backup { version }) })
    }

    /// Opens the account's secret storage.
    ///
    /// # Errors
    ///
    /// As [`Self::try_key`].
    pub(crate) async fn open(&self, key: &str) -> Result<Result<SecretStorageKey, Layer>, Fault> {
        Ok(match self.default_key().await? {
            Some((id, content)) => open(key, &id, content),
            None => Err(Layer::Absent),
        })
    }

    /// The private cross-signing keys in secret storage, as far as they can be read.
    pub(crate) async fn cross_signing_keys(
        &self,
        key: &SecretStorageKey,
    ) -> Result<CrossSigningKeyExport, Fault> {
        let mut found = CrossSigningKeyExport::default();
        for (name, place) in [
            (MASTER, &mut found.master_key),
            (SELF_SIGNING, &mut found.self_signing_key),
            (USER_SIGNING, &mut found.user_signing_key),
        ] {
            let secret = self.secret(key, name).await?;
            *place = secret.and_then(|secret| String::from_utf8(secret).ok());
        }
        Ok(found)
    }

    /// Puts private cross-signing keys into secret storage; other keys of it
    /// keep what they open.
    pub(crate) async fn keep_cross_signing_keys(
        &self,
        key: &SecretStorageKey,
        keys: &CrossSigningKeyExport,
    ) -> Result<(), Fault> {
        for (name, secret) in [
            (MASTER, &keys.master_key),
            (SELF_SIGNING, &keys.self_signing_key),
            (USER_SIGNING, &keys.user_signing_key),
        ] {
            let Some(secret) = secret else { continue };
            let sealed = key.encrypt(secret.clone().into_bytes(), &SecretName::from(name));
            let sealed = serde_json::to_value(sealed)
                .map_err(|error| Fault::StoreFailed { detail: error.to_string() })?;
            let mut content = self.data(name).await?.filter(Value::is_object).unwrap_or(json!({}));
            if !content["encrypted"].is_object() {
                content["encrypted"] = json!({});
            }
            content["encrypted"][key.key_id()] = sealed;
            let user = &self.account.user_id;
            let kept = self.rest.set_account_data(self.token, user, name, &content).await;
            kept.map_err(|error| self.rest.fault(self.account, error))?;
        }
        Ok(())
    }

    /// Makes `key` the default key of an account that has none.
    pub(crate) async fn announce_key(&self, key: &SecretStorageKey) -> Result<(), Fault> {
        let user = &self.account.user_id;
        let content = serde_json::to_value(key.event_content())
            .map_err(|error| Fault::StoreFailed { detail: error.to_string() })?;
        let kind = key.event_type().to_string();
        let kept = self.rest.set_account_data(self.token, user, &kind, &content).await;
        kept.map_err(|error| self.rest.fault(self.account, error))?;
        let content = json!({ "key": key.key_id() });
        let kept = self.rest.set_account_data(self.token, user, DEFAULT_KEY, &content).await;
        kept.map_err(|error| self.rest.fault(self.account, error))
    }

    /// The account's default key: its id, and what describes it.
    pub(crate) async fn default_key(&self) -> Result<Option<(String, Value)>, Fault> {
        let found = self.data(DEFAULT_KEY).await?;
        let Some(id) = found.as_ref().and_then(|found| found["key"].as_str()) else {
            return Ok(None);
        };
        let content = self.data(&format!("m.secret_storage.key.{id}")).await?;
        Ok(Some((id.to_owned(), content.unwrap_or_default())))
    }

    async fn secret(&self, key: &SecretStorageKey, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        let Some(found) = self.data(name).await? else { return Ok(None) };
        let sealed = found["encrypted"][key.key_id()].clone();
        let Ok(sealed) = serde_json::from_value::<AesHmacSha2EncryptedData>(sealed) else {
            return Ok(None);
        };
        Ok(key.decrypt(&sealed, &SecretName::from(name)).ok())
    }

    async fn backup(&self) -> Result<Option<Value>, Fault> {
        let found = self.rest.backup(self.token).await;
        found.map_err(|error| self.rest.fault(self.account, error))
    }

    async fn data(&self, kind: &str) -> Result<Option<Value>, Fault> {
        let found = self.rest.account_data(self.token, &self.account.user_id, kind).await;
        found.map_err(|error| self.rest.fault(self.account, error))
    }
}

/// Whether none of the three keys is missing.
pub(crate) fn is_complete(keys: &CrossSigningKeyExport) -> bool {
    [&keys.master_key, &keys.self_signing_key, &keys.user_signing_key]
        .iter()
        .all(|key| key.is_some())
}

fn open(key: &str, id: &str, content: Value) -> Result<SecretStorageKey, Layer> {
    let kind = GlobalAccountDataEventType::from(format!("m.secret_storage.key.{id}")).to_string();
    let content = to_raw_value(&content)
        .ok()
        .and_then(|raw| SecretStorageKeyEventContent::from_parts(&kind, &raw).ok());
    let Some(content) = content else { return Err(Layer::Absent) };
    let has_passphrase = content.passphrase.is_some();
    SecretStorageKey::from_account_data(key.trim(), content).map_err(|error| match error {
        DecodeError::Mac(_)
        | DecodeError::MacLength(..)
        | DecodeError::IvLength(..)
        | DecodeError::UnsupportedAlgorithm(_) => Layer::SecretStorage,
        DecodeError::Prefix(..)
        | DecodeError::Parity(..)
        | DecodeError::Base58(_)
        | DecodeError::Base64(_)
        | DecodeError::KeyLength(..)
            if !has_passphrase =>
        {
            Layer::Form
        }
        _ => Layer::SecretStorage,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(key: &SecretStorageKey) -> (String, Value) {
        (key.key_id().to_owned(), serde_json::to_value(key.event_content()).unwrap())
    }

    #[test]
    fn a_key_opens_what_it_was_made_for_and_nothing_else() {
        let key = SecretStorageKey::new();
        let (id, content) = described(&key);
        assert!(open(&key.to_base58(), &id, content.clone()).is_ok());
        let other = SecretStorageKey::new().to_base58();
        assert_eq!(open(&other, &id, content).unwrap_err(), Layer::SecretStorage);
    }

    #[test]
    fn a_typing_error_is_told_from_a_wrong_key() {
        let key = SecretStorageKey::new();
        let (id, content) = described(&key);
        let mut typed = key.to_base58();
        let last = typed.pop().unwrap();
        typed.push(if last == 'A' { 'B' } else { 'A' });
        assert_eq!(open(&typed, &id, content.clone()).unwrap_err(), Layer::Form);
        assert_eq!(open("hello", &id, content.clone()).unwrap_err(), Layer::Form);
        assert_eq!(open("", &id, content).unwrap_err(), Layer::Form);
    }

    #[test]
    fn a_description_that_makes_no_sense_is_no_secret_storage() {
        let key = SecretStorageKey::new().to_base58();
        assert_eq!(open(&key, "id", json!({})).unwrap_err(), Layer::Absent);
    }
}
