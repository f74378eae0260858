//! The recovery key: made on one device, used on another.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::{JsUser, LOGIN_LIMIT};
use crate::TestbedError;

/// What a device has after a recovery.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Recovered {
    /// Whether the account's identity has signed the device.
    pub cross_signed: bool,
    /// The backup that it trusts and writes to, if there is one.
    pub backup_version: Option<String>,
    /// How many keys of sessions were in that backup.
    pub total: usize,
    /// How many of them the device could take.
    pub imported: usize,
}

impl JsUser {
    /// Makes secret storage under a new key, puts the private keys of the
    /// user's identity and of a key backup into it, and returns the recovery
    /// key, `EsTc …` in groups of four.
    ///
    /// With a passphrase the key follows from it. The identity is made if the
    /// user has none, and so is the backup if this device uses none; a backup
    /// whose key it does not have is replaced.
    ///
    /// Keys go into the backup some seconds after they are there; see
    /// [`Self::wait_for_backup`].
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`] when the user has an identity whose private keys
    /// are not on this device, or the homeserver refuses.
    pub fn set_up_recovery(&self, passphrase: Option<&str>) -> Result<String, TestbedError> {
        self.ask("set_up_recovery", json!({ "passphrase": passphrase }), LOGIN_LIMIT)
    }

    /// Opens secret storage, takes over the identity, signs this device with
    /// it, and loads what is in the backup. Returns once the device sees its
    /// own signature.
    ///
    /// For a device that was logged in with
    /// [`CrossSigning::Leave`](crate::CrossSigning::Leave).
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`] in the words of the SDK for a wrong key (`bad
    /// MAC`) and for what is no key at all (`Incorrect parity`); or when
    /// something is missing in secret storage. No identity is ever made.
    pub fn recover(&self, recovery_key: &str) -> Result<Recovered, TestbedError> {
        self.ask("recover", json!({ "recovery_key": recovery_key }), LOGIN_LIMIT)
    }

    /// Waits until at least `count` keys are in the user's backup.
    ///
    /// The SDK lets up to ten seconds pass before it sends what is new.
    ///
    /// # Errors
    ///
    /// [`TestbedError::TimedOut`]; [`TestbedError::Js`] with code `M_NOT_FOUND`
    /// where there is no backup.
    pub fn wait_for_backup(&self, count: usize, timeout: Duration) -> Result<(), TestbedError> {
        self.ask("wait_for_backup", json!({ "count": count }), timeout)
    }
}
