//! Reads what the homeserver keeps for the encryption of one user.
//!
//! Nothing is changed by it, and no device is asked.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Homeserver;
use crate::TestbedError;

/// Which account data is about encryption: types, or what they begin with.
const ABOUT_ENCRYPTION: [&str; 5] = [
    "m.secret_storage.",
    "m.cross_signing.",
    "m.megolm_backup.",
    // Whether clients shall keep a backup.
    "m.key_backup",
    "m.org.matrix.custom.backup_disabled",
];

/// What every user with recovery has; named even where it is missing, so that
/// a difference shows.
const EXPECTED: [&str; 5] = [
    "m.secret_storage.default_key",
    "m.cross_signing.master",
    "m.cross_signing.self_signing",
    "m.cross_signing.user_signing",
    "m.megolm_backup.v1",
];

impl Homeserver {
    /// Everything that a client could damage when it tries a recovery key, by
    /// name. Two of these are equal if nothing was damaged in between.
    ///
    /// - `account_data m.cross_signing.master` and so on: secret storage, its
    ///   keys and its secrets, as they are stored;
    /// - `backup`: the version, the key and its signatures, and number and
    ///   etag of the keys that are in it, which change with them;
    /// - `identity master`, `identity self_signing`, `identity user_signing`:
    ///   the public keys with their signatures;
    /// - `device ABC`: the keys of each device with their signatures.
    ///
    /// What is missing is null. `token` is of any device of `user_id`.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Refused`], with code `M_UNKNOWN_TOKEN` for a token that
    /// is worth nothing.
    pub fn server_objects(
        &self,
        token: &str,
        user_id: &str,
    ) -> Result<BTreeMap<String, Value>, TestbedError> {
        let mut objects = self.account_data(user_id)?;
        objects.insert("backup".to_owned(), self.backup(token)?);
        objects.extend(self.published_keys(token, user_id)?);
        Ok(objects)
    }

    /// Clients find the list of account data in a sync only, and Synapse may
    /// answer that with what it has answered two minutes ago.
    fn account_data(&self, user_id: &str) -> Result<BTreeMap<String, Value>, TestbedError> {
        let mut objects: BTreeMap<_, _> =
            EXPECTED.map(|name| (format!("account_data {name}"), Value::Null)).into();
        let mut answer = self.admin_account_data(user_id)?;
        if let Value::Object(global) = answer["account_data"]["global"].take() {
            let about = |name: &str| ABOUT_ENCRYPTION.iter().any(|about| name.starts_with(about));
            let kept = global.into_iter().filter(|(name, _)| about(name));
            objects.extend(kept.map(|(name, content)| (format!("account_data {name}"), content)));
        }
        Ok(objects)
    }

    fn backup(&self, token: &str) -> Result<Value, TestbedError> {
        let path = "/_matrix/client/v3/room_keys/version";
        match self.http.demand("GET", path, Some(token), None) {
            Err(error) if error.code() == Some("M_NOT_FOUND") => Ok(Value::Null),
            answer => answer,
        }
    }

    fn published_keys(
        &self,
        token: &str,
        user_id: &str,
    ) -> Result<BTreeMap<String, Value>, TestbedError> {
        let path = "/_matrix/client/v3/keys/query";
        let body = json!({ "device_keys": { user_id: [] } });
        let mut answer = self.http.demand("POST", path, Some(token), Some(&body))?;
        let mut objects: BTreeMap<_, _> = ["master", "self_signing", "user_signing"]
            .map(|name| {
                (format!("identity {name}"), answer[format!("{name}_keys")][user_id].take())
            })
            .into();
        if let Value::Object(devices) = answer["device_keys"][user_id].take() {
            objects.extend(devices.into_iter().map(|(id, keys)| (format!("device {id}"), keys)));
        }
        Ok(objects)
    }
}
