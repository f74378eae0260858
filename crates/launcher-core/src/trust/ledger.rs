//! What is written down about users and their devices.
//!
//! All moments are milliseconds since 1970, by this machine's clock.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::names::{DeviceId, RoomId, UserId};

/// What the ledger knows of one user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRecord {
    /// The user.
    pub user: UserId,
    /// When the ledger first saw them.
    pub first_seen: u64,
    /// The public master key of their cross-signing identity, base64: the one
    /// that was seen first, or the one that took its place with a
    /// [`IdentityChange`] or by an operator's word. `None` if they never had one.
    pub master_key: Option<String>,
    /// That their identity is another one than before, until it is verified, or
    /// until an operator approves or withdraws.
    pub changed: Option<IdentityChange>,
    /// That this agent's operator has verified them, and how.
    pub verified: Option<Verified>,
    /// The master key whose verification an operator has taken back.
    pub withdrawn: Option<String>,
    /// What an operator decided about the user as a whole.
    pub decision: Option<Decision>,
    /// When they were told why they are not obeyed.
    pub told: Option<u64>,
    /// A verification with them that has not ended, so that the next life can
    /// call it off.
    #[serde(default)]
    pub under_way: Option<UnderWay>,
    /// Their devices, those that are gone included.
    pub devices: BTreeMap<DeviceId, DeviceRecord>,
}

/// What the ledger knows of one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRecord {
    /// Its fingerprint key, base64.
    pub ed25519: String,
    /// Its identity key, base64.
    pub curve25519: String,
    /// When the ledger first saw it.
    pub first_seen: u64,
    /// Whether the user had been seen before without it, so that it was
    /// announced as new.
    pub late: bool,
    /// Whether it is signed by its owner's identity, as it is now.
    pub signed: bool,
    /// When it was found to be gone from the account.
    pub gone: Option<u64>,
    /// What an operator decided about it.
    pub decision: Option<Decision>,
}

/// A user's identity is another one than it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityChange {
    /// When that was noticed.
    pub at: u64,
    /// The master key before.
    pub from: String,
    /// Whether the identity before was verified.
    pub was_verified: bool,
    /// Whether an operator had approved of it, or of a device of it.
    pub was_approved: bool,
}

/// That a user was verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// When it was noted.
    pub at: u64,
    /// How; `None` if it was done by another device of the agent's account.
    pub method: Option<Method>,
}

/// How somebody was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// By comparing seven emojis.
    Emoji,
    /// By scanning the agent's code.
    Qr,
}

/// A verification that has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderWay {
    /// The room it takes place in; `None` between devices of one account.
    pub room: Option<RoomId>,
    /// What it is called there: the request's event id or transaction id.
    pub flow: String,
    /// The device at the other end, if it is known.
    pub device: Option<DeviceId>,
}

/// What an operator decided, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What.
    pub decided: Decided,
    /// When.
    pub at: u64,
}

/// What an operator can decide about a user or a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decided {
    /// It may have keys and is obeyed, where the mode asks for approval.
    Approved,
    /// It gets no keys and is not obeyed, in every mode.
    Blocked,
}

/// A user as the agent's account sees them now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenUser {
    /// The user.
    pub user: UserId,
    /// Their cross-signing identity, if they have one.
    pub identity: Option<SeenIdentity>,
    /// Their devices.
    pub devices: Vec<SeenDevice>,
}

/// A cross-signing identity as it is seen now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenIdentity {
    /// Its public master key, base64.
    pub master_key: String,
    /// Whether the agent's account has signed it.
    pub verified: bool,
}

/// A device as it is seen now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenDevice {
    /// Its id.
    pub id: DeviceId,
    /// Its fingerprint key, base64.
    pub ed25519: String,
    /// Its identity key, base64.
    pub curve25519: String,
    /// Whether its owner's identity, as it is now, has signed it.
    pub signed: bool,
}

impl UserRecord {
    /// What is known of somebody who was never seen.
    pub fn new(user: UserId, now: u64) -> Self {
        Self {
            user,
            first_seen: now,
            master_key: None,
            changed: None,
            verified: None,
            withdrawn: None,
            decision: None,
            told: None,
            under_way: None,
            devices: BTreeMap::new(),
        }
    }

    /// Whether an operator blocked the user as a whole.
    pub fn is_blocked(&self) -> bool {
        is(self.decision.as_ref(), Decided::Blocked)
    }

    /// Whether a device with this identity key is blocked, whatever else is said of it.
    pub fn blocks_key(&self, curve25519: &str) -> bool {
        self.devices.values().any(|device| device.is_blocked() && device.curve25519 == curve25519)
    }

    /// Whether the user was verified and has another identity since.
    pub fn is_violated(&self) -> bool {
        self.verified.is_none() && self.changed.as_ref().is_some_and(|change| change.was_verified)
    }

    /// The device with these keys; one that is gone, if no other has them.
    pub fn device_by_keys(&self, curve25519: &str, ed25519: &str) -> Option<&DeviceRecord> {
        self.devices
            .values()
            .filter(|device| device.curve25519 == curve25519 && device.ed25519 == ed25519)
            .min_by_key(|device| device.gone.is_some())
    }
}

impl DeviceRecord {
    /// Whether an operator blocked it.
    pub fn is_blocked(&self) -> bool {
        is(self.decision.as_ref(), Decided::Blocked)
    }

    /// Whether an operator approved it.
    pub fn is_approved(&self) -> bool {
        is(self.decision.as_ref(), Decided::Approved)
    }
}

fn is(decision: Option<&Decision>, decided: Decided) -> bool {
    decision.is_some_and(|decision| decision.decided == decided)
}
