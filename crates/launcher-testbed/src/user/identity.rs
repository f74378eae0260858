//! Identities: who is verified, who has another one, and whom one's own signs.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::{JsUser, LOGIN_LIMIT};
use crate::{DEFAULT_TIMEOUT, TestbedError};

/// What one user thinks of the identity of another, or of its own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct UserStatus {
    /// Whether it is verified.
    pub verified: bool,
    /// Whether this identity, or one that it took the place of, was ever
    /// verified.
    pub was_verified: bool,
    /// Whether it is not the one that was known before, and Element asks for
    /// consent. Never of the own one.
    pub needs_approval: bool,
    /// The public master key that the homeserver has for it now, which may be
    /// newer than the rest.
    pub master_key: Option<String>,
}

impl JsUser {
    /// What this user thinks of a user, itself included, from what it knows
    /// already.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`] when the homeserver gives no answer.
    pub fn user_status(&self, user_id: &str) -> Result<UserStatus, TestbedError> {
        self.ask("user_status", json!({ "user_id": user_id }), DEFAULT_TIMEOUT)
    }

    /// Waits until a user is verified.
    ///
    /// # Errors
    ///
    /// [`TestbedError::TimedOut`].
    pub fn wait_for_verified_user(
        &self,
        user_id: &str,
        timeout: Duration,
    ) -> Result<UserStatus, TestbedError> {
        self.ask("wait_for_verified_user", json!({ "user_id": user_id }), timeout)
    }

    /// Waits until this user sees that another has an identity that it did not
    /// have before.
    ///
    /// # Errors
    ///
    /// [`TestbedError::TimedOut`].
    pub fn wait_for_changed_identity(
        &self,
        user_id: &str,
        timeout: Duration,
    ) -> Result<UserStatus, TestbedError> {
        self.ask("wait_for_changed_identity", json!({ "user_id": user_id }), timeout)
    }

    /// Replaces this user's identity, as a reset in Element does, and signs
    /// this device, and no other, with the new one.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`] when the account has secret storage, which would
    /// have to be made anew as well.
    pub fn reset_identity(&self) -> Result<(), TestbedError> {
        self.ask("reset_identity", json!({}), LOGIN_LIMIT)
    }

    /// Signs another device of this account, once this one knows it.
    ///
    /// # Errors
    ///
    /// [`TestbedError::TimedOut`] when there is no such device;
    /// [`TestbedError::Js`] when this device does not have the private keys of
    /// the identity.
    pub fn sign_own_device(&self, device_id: &str) -> Result<(), TestbedError> {
        self.ask("sign_own_device", json!({ "device_id": device_id }), DEFAULT_TIMEOUT)
    }
}
