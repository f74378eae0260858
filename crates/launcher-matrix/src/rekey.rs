//! Changing an agent's pickle key.
//!
//! The key seals several files, and no file system changes them all at once. So
//! first a *change file* is written in which each of the two keys is sealed
//! with the other one. As long as it is there the agent starts with either, and
//! the start seals everything with the key that it was started with. The first
//! start with the new key removes the file. A kill anywhere before that leaves
//! it, and the next start goes on.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use fs_err::{self as fs, File, OpenOptions, os::unix::fs::OpenOptionsExt};
use hkdf::Hkdf;
use launcher_core::{
    fault::Fault,
    secret::{PickleKey, Secret},
    spec::AgentSpec,
};
use launcher_runtime::{ports::journal::Journal, retired};
use sha2::Sha256;
use tracing::{info, warn};
use zeroize::{Zeroize, Zeroizing};

use crate::{
    store::StorePlace,
    vault::{OpenError, Vault},
};

/// What the file is, and the version of its form.
const HEADER: &[u8; 16] = b"launcher rekey 1";

const NONCE: usize = 24;

/// A sealed key: nonce, key, tag.
const SEALED: usize = NONCE + 32 + 16;

/// Where the change file of an agent is.
pub(crate) fn path(spec: &AgentSpec) -> PathBuf {
    spec.data_folder().join("rekey")
}

/// Writes the change file.
pub(crate) fn begin(spec: &AgentSpec, new: &PickleKey) -> io::Result<()> {
    let old = &spec.encryption.pickle_key;
    let (path, draft) = (path(spec), path(spec).with_extension("new"));
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(HEADER)?;
    file.write_all(&seal(old, new)?)?;
    file.write_all(&seal(new, old)?)?;
    file.sync_all()?;
    fs::rename(&draft, &path)?;
    sync_folder(&path)
}

/// Whether a change is not finished to which the configured key is the new one:
/// some files may still be sealed with the old one. One to which it is the old
/// one can be begun anew with another key; one of other keys keeps nobody from
/// anything.
pub fn is_unfinished(spec: &AgentSpec) -> bool {
    let own = &spec.encryption.pickle_key;
    fs::read(path(spec)).is_ok_and(|content| matches!(read(&content, own), Some(Other::Old(_))))
}

/// The other key of a change that is not finished.
enum Other {
    /// The agent was started with the new key; this is the old one.
    Old(PickleKey),
    /// The agent was started with the old key; this is the new one.
    New(PickleKey),
}

/// Seals everything with the configured key, if a change of it was begun.
///
/// # Errors
///
/// Those of the files. A key that has no part in the change is no error here:
/// it does not open the store, which is found out in a moment.
pub(crate) async fn finish(
    spec: &AgentSpec,
    place: &StorePlace,
    journal: &dyn Journal,
) -> Result<(), Fault> {
    let path = path(spec);
    let unusable =
        |error: io::Error| Fault::StoreUnusable { path: path.clone(), detail: error.to_string() };
    let content = match fs::read(&path) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unusable(error)),
    };
    let own = &spec.encryption.pickle_key;
    let Some(other) = read(&content, own) else { return Ok(()) };
    let from = match &other {
        Other::Old(key) | Other::New(key) => key,
    };
    reseal_vault(spec, from)?;
    place.reseal(from)?;
    for folder in retired::folders(&spec.encryption.store_path).map_err(unusable)? {
        let aside = StorePlace::new(folder.clone(), own.clone());
        if let Err(error) = aside.reseal(from) {
            warn!(folder = %folder.display(), %error, "a store that was put aside stays sealed with the other pickle key");
        }
    }
    journal.reseal(from).await?;
    // Started with the old key the change is still to come: the new key may be on its way
    // into the configuration, and whoever put it there may have no other copy of this one.
    if matches!(other, Other::Old(_)) {
        fs::remove_file(&path).and_then(|()| sync_folder(&path)).map_err(unusable)?;
        info!(
            event = "rekeyed",
            "everything is sealed with the new pickle key, and opens with no other"
        );
    }
    Ok(())
}

fn reseal_vault(spec: &AgentSpec, from: &PickleKey) -> Result<(), Fault> {
    let path = spec.data_folder().join("vault");
    let own = &spec.encryption.pickle_key;
    let unusable = |error: &dyn std::fmt::Display| Fault::StoreUnusable {
        path: path.clone(),
        detail: error.to_string(),
    };
    match Vault::open(&path, own) {
        Ok(_) => Ok(()),
        Err(OpenError::Sealed) => match Vault::open(&path, from) {
            Ok(Some(vault)) => vault.save(&path, own).map_err(|error| unusable(&error)),
            Ok(None) => Ok(()),
            Err(error) => Err(unusable(&error)),
        },
        Err(error) => Err(unusable(&error)),
    }
}

/// Opens a change file with one of its keys.
fn read(content: &[u8], own: &PickleKey) -> Option<Other> {
    let content = content.strip_prefix(HEADER)?;
    let (under_old, under_new) = content.split_at_checked(SEALED)?;
    match unseal(under_old, own) {
        Some(new) => Some(Other::New(new)),
        None => unseal(under_new, own).map(Other::Old),
    }
}

/// Seals `content` with `key`.
fn seal(key: &PickleKey, content: &PickleKey) -> io::Result<Vec<u8>> {
    let mut nonce = [0; NONCE];
    getrandom::fill(&mut nonce).map_err(io::Error::other)?;
    let payload = Payload { msg: content.expose(), aad: HEADER };
    let sealed = cipher(key)
        .encrypt(XNonce::from_slice(&nonce), payload)
        .map_err(|_| io::Error::other("sealing a key did not work"))?;
    Ok([nonce.as_slice(), &sealed].concat())
}

fn unseal(sealed: &[u8], key: &PickleKey) -> Option<PickleKey> {
    let (nonce, sealed) = sealed.split_at_checked(NONCE)?;
    let payload = Payload { msg: sealed, aad: HEADER };
    let plain = cipher(key).decrypt(XNonce::from_slice(nonce), payload).ok().map(Zeroizing::new)?;
    Some(Secret::new(plain.as_slice().try_into().ok()?))
}

fn cipher(key: &PickleKey) -> XChaCha20Poly1305 {
    let mut derived = [0; 32];
    // 32 bytes is a length that HKDF-SHA256 can always give.
    let expanded = Hkdf::<Sha256>::new(None, key.expose()).expand(b"launcher rekey", &mut derived);
    debug_assert!(expanded.is_ok());
    let cipher = XChaCha20Poly1305::new(&derived.into());
    derived.zeroize();
    cipher
}

fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> PickleKey {
        Secret::new([byte; 32])
    }

    fn change() -> Vec<u8> {
        [HEADER.to_vec(), seal(&key(1), &key(2)).unwrap(), seal(&key(2), &key(1)).unwrap()].concat()
    }

    #[test]
    fn either_key_leads_to_the_other_and_no_third_one_to_any() {
        let change = change();
        assert!(matches!(read(&change, &key(1)), Some(Other::New(new)) if new == key(2)));
        assert!(matches!(read(&change, &key(2)), Some(Other::Old(old)) if old == key(1)));
        assert!(read(&change, &key(3)).is_none());
    }

    #[test]
    fn a_damaged_change_file_leads_nowhere() {
        let whole = change();
        for length in 0..whole.len() {
            if let Some(Other::Old(_)) = read(&whole[..length], &key(2)) {
                panic!("cut at {length}");
            }
        }
        assert!(read(b"", &key(1)).is_none());
    }
}
