//! Files as they are sent in encrypted rooms (spec, "Sending encrypted attachments").

use std::io::{Cursor, Read};

use launcher_runtime::ports::SendFault;
use matrix_sdk_base::crypto::{AttachmentEncryptor, MediaEncryptionInfo};
use serde_json::{Value, json};

/// What is said of content that says nothing about itself.
pub(crate) const OCTETS: &str = "application/octet-stream";

/// Encrypts a file with a key of its own.
///
/// # Errors
///
/// Only if the runtime is shutting down.
pub(crate) async fn encrypt(bytes: Vec<u8>) -> Result<(Vec<u8>, MediaEncryptionInfo), SendFault> {
    let encrypt = move || {
        let mut reader = Cursor::new(bytes.as_slice());
        let mut encryptor = AttachmentEncryptor::new(&mut reader);
        let mut encrypted = Vec::with_capacity(bytes.len());
        encryptor.read_to_end(&mut encrypted)?;
        Ok::<_, std::io::Error>((encrypted, encryptor.finish()))
    };
    let failed = |error: &dyn std::fmt::Display| SendFault::Passing {
        detail: error.to_string(),
        retry_after: None,
    };
    let encrypted = tokio::task::spawn_blocking(encrypt).await.map_err(|error| failed(&error))?;
    encrypted.map_err(|error| failed(&error))
}

/// The `EncryptedFile` of what was uploaded to `url`.
pub(crate) fn encrypted_file(url: &str, info: &MediaEncryptionInfo) -> Result<Value, SendFault> {
    let mut file = serde_json::to_value(info)
        .map_err(|error| SendFault::Refused { detail: error.to_string() })?;
    if let Value::Object(fields) = &mut file {
        fields.insert("url".to_owned(), json!(url));
    }
    Ok(file)
}
