//! What a device publishes about itself, and how it is checked.
//!
//! One signature, by the device's Ed25519 key, covers all of it: whose device
//! it is, both identity keys, the signed pre-key and a list of the one-time
//! keys. The server's own signature field is only large enough for that one,
//! so what has no field of its own stands in `meta`.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use vodozemac::{Curve25519PublicKey, Ed25519PublicKey, Ed25519Signature};

use super::{codec::Writer, ids::Address, rotation::Keys};

/// How bundles of ours are labelled, so that other clients leave them alone.
pub const ALGORITHM: &str = "launcher.olm.v1";

/// Bytes of a one-time key's hash in the list. Enough that nobody finds
/// another key with the same one.
const HASH: usize = 16;

/// A device's bundle, as the server shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct PublicBundle {
    /// Whose it is, as the server says.
    pub address: Address,
    /// `algorithm`
    pub algorithm: String,
    /// `identity_key`
    pub identity_key: Vec<u8>,
    /// `signed_pre_key_id`, `signed_pre_key` and `signed_pre_key_signature`
    pub signed_pre_key: SignedPreKey,
    /// `one_time_pre_key`, if one was claimed.
    pub one_time_pre_key: Option<OneTimeKey>,
    /// `meta`
    pub meta: serde_json::Value,
}

/// A key for more than one use, with the signature of the whole bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedPreKey {
    /// Its number.
    pub id: i32,
    /// 32 bytes.
    pub key: Vec<u8>,
    /// 64 bytes.
    pub signature: Vec<u8>,
}

/// A key for one use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneTimeKey {
    /// Its number; higher ones are younger.
    pub id: i32,
    /// 32 bytes.
    pub key: Vec<u8>,
}

/// What this device has to publish.
#[derive(Clone, Debug, PartialEq)]
pub struct Upload {
    /// The bundle; its `one_time_pre_key` is empty.
    pub bundle: PublicBundle,
    /// `one_time_pre_keys`: all that are not known to be used. The server
    /// passes over those that it has.
    pub one_time_keys: Vec<OneTimeKey>,
    /// Hand this back when the server has it.
    pub mark: UploadMark,
}

/// What was uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadMark {
    pub(crate) generation: u64,
    pub(crate) next_id: i32,
    pub(crate) pre_key_id: i32,
}

/// Why a device cannot be talked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum BundleProblem {
    /// It is a client of another kind.
    #[error("its bundle is not of a kind that is known here")]
    Algorithm,
    /// A key has a wrong length, or is missing.
    #[error("its bundle is incomplete")]
    Incomplete,
    /// The signature is wrong: the server, or somebody there, changed it.
    #[error("its bundle is not signed by its own key")]
    Signature,
    /// The server showed a younger one before.
    #[error("its bundle is older than one that was there before")]
    RolledBack,
    /// A key is one with which no secret can be agreed.
    #[error("its bundle has a key of no use")]
    UselessKey,
}

/// What has no field of its own at the server.
#[derive(Serialize, Deserialize)]
struct Meta {
    ed25519: String,
    generation: u64,
    one_time_keys: String,
}

/// A bundle that is signed by its device.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    pub(crate) address: Address,
    pub(crate) keys: Keys,
    /// Grows from life to life of the device, and within one: what is older
    /// was there before.
    pub(crate) age: (u64, i32),
    /// What a session begins with: the one-time key, or the signed pre-key.
    pub(crate) opening: Curve25519PublicKey,
}

/// What is signed.
pub(crate) struct Statement<'a> {
    pub(crate) address: &'a Address,
    pub(crate) keys: Keys,
    pub(crate) generation: u64,
    pub(crate) pre_key_id: i32,
    pub(crate) pre_key: Curve25519PublicKey,
    /// The hashes of the one-time keys, one after the other.
    pub(crate) list: &'a [u8],
}

impl Statement<'_> {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer
            .text("launcher bundle v1")
            .text(ALGORITHM)
            .address(self.address)
            .raw(self.keys.curve25519.as_bytes())
            .raw(self.keys.ed25519.as_bytes())
            .long(self.generation)
            .raw(&self.pre_key_id.to_be_bytes())
            .raw(self.pre_key.as_bytes())
            .bytes(self.list);
        writer.finish()
    }

    pub(crate) fn meta(&self) -> serde_json::Value {
        serde_json::json!({
            "ed25519": self.keys.ed25519.to_base64(),
            "generation": self.generation,
            "one_time_keys": vodozemac::base64_encode(self.list),
        })
    }
}

/// A one-time key as it stands in the list.
pub(crate) fn listed(id: i32, key: &Curve25519PublicKey) -> [u8; HASH] {
    let hash = Sha256::new()
        .chain_update(b"launcher one-time key v1")
        .chain_update(id.to_be_bytes())
        .chain_update(key.as_bytes())
        .finalize();
    let mut short = [0; HASH];
    short.copy_from_slice(&hash[..HASH]);
    short
}

/// Checks that a device has signed its bundle. A one-time key that is not in
/// the list is passed over: the server may have made it.
pub(crate) fn check(bundle: &PublicBundle) -> Result<Checked, BundleProblem> {
    if bundle.algorithm != ALGORITHM {
        return Err(BundleProblem::Algorithm);
    }
    let curve = |bytes: &[u8]| {
        Curve25519PublicKey::from_slice(bytes).map_err(|_| BundleProblem::Incomplete)
    };
    let meta = Meta::deserialize(&bundle.meta).map_err(|_| BundleProblem::Incomplete)?;
    let ed25519 =
        Ed25519PublicKey::from_base64(&meta.ed25519).map_err(|_| BundleProblem::Incomplete)?;
    let list =
        vodozemac::base64_decode(&meta.one_time_keys).map_err(|_| BundleProblem::Incomplete)?;
    let signature = Ed25519Signature::from_slice(&bundle.signed_pre_key.signature)
        .map_err(|_| BundleProblem::Incomplete)?;
    let keys = Keys { curve25519: curve(&bundle.identity_key)?, ed25519 };
    let pre_key = curve(&bundle.signed_pre_key.key)?;
    let statement = Statement {
        address: &bundle.address,
        keys,
        generation: meta.generation,
        pre_key_id: bundle.signed_pre_key.id,
        pre_key,
        list: &list,
    };
    ed25519.verify(&statement.bytes(), &signature).map_err(|_| BundleProblem::Signature)?;
    let one_time = bundle.one_time_pre_key.as_ref().and_then(|given| {
        let key = curve(&given.key).ok()?;
        let hash = listed(given.id, &key);
        list.chunks_exact(HASH).any(|entry| entry == hash).then_some(key)
    });
    Ok(Checked {
        address: bundle.address.clone(),
        keys,
        age: (meta.generation, bundle.signed_pre_key.id),
        opening: one_time.unwrap_or(pre_key),
    })
}
