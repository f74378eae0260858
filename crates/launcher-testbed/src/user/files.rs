//! Files in messages, as a user gets them.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::{Value, json};

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

/// A file that a user sends.
#[derive(Clone, Debug, Default)]
pub struct SentFile<'a> {
    /// What it is called.
    pub name: &'a str,
    /// What it is, such as `image/png`; says what kind of message it is.
    pub content_type: &'a str,
    /// What is in it.
    pub bytes: &'a [u8],
    /// What is said about it.
    pub caption: Option<&'a str>,
    /// How long it is, for a voice message, in milliseconds.
    pub voice: Option<u64>,
    /// What is said of its size, if that is not the truth.
    pub announced: Option<u64>,
    /// Whether the homeserver gets something else than the message says. For
    /// encrypted rooms.
    pub tampered: bool,
    /// What it answers, or which thread it is in (`m.relates_to`).
    pub relation: Option<Value>,
}

impl JsUser {
    /// Sends a file and returns its event id once the homeserver has it;
    /// encrypted if the room is.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`] when the homeserver refuses the file or the message.
    pub fn send_file(&self, room_id: &str, file: &SentFile<'_>) -> Result<String, TestbedError> {
        let params = json!({
            "room_id": room_id,
            "bytes": STANDARD.encode(file.bytes),
            "name": file.name,
            "mimetype": file.content_type,
            "caption": file.caption,
            "voice": file.voice,
            "announced": file.announced,
            "tampered": file.tampered,
            "relation": file.relation,
        });
        self.ask("send_file", params, DEFAULT_TIMEOUT)
    }

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
