//! Files as they are in encrypted rooms (spec, "Sending encrypted attachments").

use std::io::{self, Cursor, Read};

use launcher_runtime::ports::SendFault;
use matrix_sdk_base::crypto::{AttachmentDecryptor, AttachmentEncryptor, MediaEncryptionInfo};
use serde_json::{Value, json};

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
        Ok::<_, io::Error>((encrypted, encryptor.finish()))
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

/// Why a file cannot be decrypted.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// The message says too little, or something unknown, about the encryption.
    Unusable { detail: String },
    /// It is not what was sent.
    Changed,
    /// It could not be read from where it was kept.
    Read(io::Error),
}

/// Decrypts a file of `length` bytes. Returns it when all of it was read and its
/// hash is the one that was announced: not a byte before.
pub(crate) fn open(
    mut sealed: impl Read,
    length: usize,
    info: MediaEncryptionInfo,
) -> Result<Vec<u8>, OpenError> {
    let mut decryptor = AttachmentDecryptor::new(&mut sealed, info)
        .map_err(|error| OpenError::Unusable { detail: error.to_string() })?;
    let mut bytes = Vec::with_capacity(length);
    match decryptor.read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        // The decryptor's own error is none of the system's.
        Err(error) if error.raw_os_error().is_none() => Err(OpenError::Changed),
        Err(error) => Err(OpenError::Read(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sealed(bytes: &[u8]) -> (Vec<u8>, MediaEncryptionInfo) {
        encrypt(bytes.to_vec()).await.unwrap()
    }

    #[tokio::test]
    async fn a_file_is_what_was_encrypted() {
        for bytes in [&b"x"[..], b"", &[7; 100_000]] {
            let (sealed, info) = sealed(bytes).await;
            assert!(sealed.is_empty() || sealed != bytes);
            assert!(open(sealed.as_slice(), sealed.len(), info).unwrap() == bytes);
        }
    }

    #[tokio::test]
    async fn of_a_file_that_was_changed_or_cut_nothing_is_handed_on() {
        let (good, _) = sealed(&[7; 1_000]).await;
        let change = |at: usize| {
            let mut changed = good.clone();
            changed[at] ^= 1;
            changed
        };
        let longer = [&good[..], b"x"].concat();
        for bad in [change(0), change(999), good[..999].to_vec(), longer, Vec::new()] {
            // The key is moved into the decryptor, so each has one of its own.
            let (mut own, info) = sealed(&[7; 1_000]).await;
            own.clone_from(&bad);
            assert!(matches!(open(own.as_slice(), own.len(), info), Err(OpenError::Changed)));
        }
    }
}
