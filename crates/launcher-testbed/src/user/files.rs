//! Files in messages, as a user gets them.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::json;

use crate::{DEFAULT_TIMEOUT, JsUser, Message, TestbedError};

/// A file that a user downloaded.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Downloaded {
    /// What is in it, decrypted if it was encrypted.
    #[serde(deserialize_with = "base64")]
    pub bytes: Vec<u8>,
    /// What the homeserver has.
    #[serde(deserialize_with = "base64")]
    pub stored: Vec<u8>,
}

impl JsUser {
    /// Gets the file of a message, and decrypts it if it is encrypted.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`] when the homeserver does not have it, or when it is
    /// not what the message says.
    pub fn download(&self, message: &Message) -> Result<Downloaded, TestbedError> {
        self.ask("download", json!({ "content": message.content }), DEFAULT_TIMEOUT)
    }
}

fn base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    STANDARD.decode(text).map_err(D::Error::custom)
}
