//! What must not be lost with the crypto store: session, identity, recovery key.
//!
//! One small file beside the store's folder, sealed with a key derived from
//! the pickle key. Whoever has the file without the pickle key learns nothing;
//! whoever loses the store alone still knows which device it was.
//!
//! The file is replaced as a whole (write, sync, rename), so a kill leaves
//! either the old one or the new one.

use std::{io, io::Write, path::Path};

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use fs_err::{self as fs, File, OpenOptions, os::unix::fs::OpenOptionsExt};
use hkdf::Hkdf;
use launcher_core::{preflight::IdentityKeys, secret::PickleKey};
use launcher_runtime::stamp;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use crate::rest::Tokens;

/// The first bytes of the file: what it is, and the version of its form. They
/// are authenticated together with the content.
const HEADER: &[u8; 16] = b"launcher vault 1";

const NONCE: usize = 24;

/// The content of the vault.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Vault {
    /// The device this agent is, or is about to log in as.
    pub(crate) device_id: Option<String>,
    /// The token of that device, once the login was answered.
    pub(crate) access_token: Option<Zeroizing<String>>,
    /// The identity keys this device was seen to have on the server.
    pub(crate) ed25519: Option<String>,
    /// See `ed25519`.
    pub(crate) curve25519: Option<String>,
    /// Opens the account's secret storage.
    pub(crate) recovery_key: Option<Zeroizing<String>>,
    /// Whether secret storage and backup are being made by us: if there is no
    /// recovery key then, a kill came between, and they are made again.
    pub(crate) recovery_begun: bool,
    /// The device that is being given up, and why. Set before its store is
    /// moved aside, and taken away when nothing of it is left.
    pub(crate) retiring: Option<Retiring>,
    /// When the agent became a new device, in milliseconds since 1970.
    pub(crate) resets: Vec<u64>,
    /// Devices of before that are still to be removed from the account.
    pub(crate) old_devices: Vec<String>,
    /// Exchanged for a new access token when that has expired.
    pub(crate) refresh_token: Option<Zeroizing<String>>,
    /// When the access token should be exchanged, in milliseconds since 1970, if it expires.
    pub(crate) refresh_at: Option<u64>,
    /// Whether a session of this account has expired before: the next login
    /// asks for a refresh token.
    pub(crate) sessions_expire: bool,
    /// The folder of a retired store whose room keys and secrets are still to
    /// be taken over.
    pub(crate) salvage: Option<String>,
    /// Whether an operator has seen the recovery key.
    pub(crate) recovery_shown: bool,
    /// The configured token, if it belongs to a device that was given up.
    pub(crate) retired_token: Option<Zeroizing<String>>,
}

/// A device that is being given up.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retiring {
    /// Its id.
    pub(crate) device: String,
    /// The fault that it could not recover from.
    pub(crate) cause: String,
    /// Where its store goes.
    pub(crate) folder: String,
    /// Whether the configured token belongs to another device, and stays good.
    #[serde(default)]
    pub(crate) keeps_token: bool,
}

/// Why a vault could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is no vault of a version this launcher knows")]
    Format,
    #[error("the pickle key does not open it")]
    Sealed,
}

impl Vault {
    /// Whether `device` ran with keys of its own before.
    pub(crate) fn knows(&self, device: &str) -> bool {
        self.device_id.as_deref() == Some(device) && self.ed25519.is_some()
    }

    pub(crate) fn set_keys(&mut self, keys: IdentityKeys) {
        self.ed25519 = Some(keys.ed25519);
        self.curve25519 = Some(keys.curve25519);
    }

    /// Takes over what a login or a refresh brought.
    pub(crate) fn set_tokens(&mut self, tokens: &Tokens) {
        self.access_token = Some(tokens.access.expose().clone().into());
        self.refresh_token = tokens.refresh.as_ref().map(|token| token.expose().clone().into());
        // Some time before it expires, so that nothing in flight is refused.
        self.refresh_at = tokens.lifetime.map(|lifetime| stamp().plus(lifetime * 2 / 3).0);
    }

    /// What stays when the agent becomes another device: everything that
    /// belongs to the account.
    pub(crate) fn without_device(&mut self) -> Self {
        Self {
            recovery_key: self.recovery_key.take(),
            recovery_begun: self.recovery_begun,
            recovery_shown: self.recovery_shown,
            retired_token: self.retired_token.take(),
            sessions_expire: self.sessions_expire,
            resets: std::mem::take(&mut self.resets),
            old_devices: std::mem::take(&mut self.old_devices),
            salvage: self.salvage.take(),
            ..Self::default()
        }
    }

    /// Opens the vault; `None` if there is none yet.
    pub(crate) fn open(path: &Path, key: &PickleKey) -> Result<Option<Self>, OpenError> {
        let sealed = match fs::read(path) {
            Ok(sealed) => sealed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let content = sealed.strip_prefix(HEADER).ok_or(OpenError::Format)?;
        let (nonce, content) = content.split_at_checked(NONCE).ok_or(OpenError::Format)?;
        let payload = Payload { msg: content, aad: HEADER };
        let mut plain = cipher(key)
            .decrypt(XNonce::from_slice(nonce), payload)
            .map_err(|_| OpenError::Sealed)?;
        let vault = serde_json::from_slice(&plain).map_err(|_| OpenError::Format);
        plain.zeroize();
        vault.map(Some)
    }

    /// Replaces the vault on disk. Done means that it survives a power cut.
    pub(crate) fn save(&self, path: &Path, key: &PickleKey) -> io::Result<()> {
        let mut plain = serde_json::to_vec(self).map_err(io::Error::other)?;
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(io::Error::other)?;
        let payload = Payload { msg: &plain, aad: HEADER };
        let sealed = cipher(key)
            .encrypt(XNonce::from_slice(&nonce), payload)
            .map_err(|_| io::Error::other("sealing the vault did not work"))?;
        plain.zeroize();

        let draft = path.with_extension("new");
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(HEADER)?;
        file.write_all(&nonce)?;
        file.write_all(&sealed)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        match path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

fn cipher(key: &PickleKey) -> XChaCha20Poly1305 {
    let mut derived = [0; 32];
    // 32 bytes is a length that HKDF-SHA256 can always give.
    let expanded = Hkdf::<Sha256>::new(None, key.expose()).expand(b"launcher vault", &mut derived);
    debug_assert!(expanded.is_ok());
    let cipher = XChaCha20Poly1305::new(&derived.into());
    derived.zeroize();
    cipher
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Vault").field("device_id", &self.device_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use launcher_core::secret::Secret;

    use super::*;

    fn vault() -> Vault {
        Vault {
            device_id: Some("DEVICE".into()),
            access_token: Some("syt_secret_token".to_owned().into()),
            recovery_key: Some("EsTc recovery".to_owned().into()),
            ..Vault::default()
        }
    }

    #[test]
    fn a_saved_vault_opens_again_with_its_key_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault");
        let key = Secret::new([1; 32]);
        assert!(Vault::open(&path, &key).unwrap().is_none());
        vault().save(&path, &key).unwrap();
        assert_eq!(Vault::open(&path, &key).unwrap(), Some(vault()));
        assert!(matches!(Vault::open(&path, &Secret::new([2; 32])), Err(OpenError::Sealed)));
    }

    #[test]
    fn the_file_is_private_and_shows_nothing() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault");
        vault().save(&path, &Secret::new([1; 32])).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let bytes = fs::read(&path).unwrap();
        for secret in ["syt_secret", "EsTc", "DEVICE"] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
        }
    }

    #[test]
    fn every_damaged_vault_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault");
        let key = Secret::new([1; 32]);
        vault().save(&path, &key).unwrap();
        let whole = fs::read(&path).unwrap();
        for position in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[position] ^= 1;
            fs::write(&path, &damaged).unwrap();
            assert!(Vault::open(&path, &key).is_err(), "byte {position}");
            fs::write(&path, &whole[..position]).unwrap();
            assert!(Vault::open(&path, &key).is_err(), "cut at {position}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let text = format!("{:?}", vault());
        assert_eq!(text, r#"Vault { device_id: Some("DEVICE"), .. }"#);
    }
}
