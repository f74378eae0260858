//! What a homeserver says about a fresh login.

use serde::{Deserialize, Serialize};

/// A user with one logged-in device.
///
/// The token is a real one, but of a homeserver on the loopback address that
/// lets everybody in; it is worth nothing outside the test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The whole id, `@alice:localhost`.
    pub user_id: String,
    /// The device that the login made.
    pub device_id: String,
    /// The access token of that device.
    pub access_token: String,
}

impl Account {
    /// Reads the answer to a login or a registration.
    pub(crate) fn deserialize_from(answer: &serde_json::Value) -> Option<Self> {
        Self::deserialize(answer).ok()
    }
}
