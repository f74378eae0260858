//! When a session is given up for a new one.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use vodozemac::{Curve25519PublicKey, Ed25519PublicKey};

use super::ids::{AccountId, Address};

/// A session has this many messages at most.
pub(crate) const MAX_MESSAGES: u32 = 100;

/// No index can be at or beyond this, whoever the sender: ours stop at
/// [`MAX_MESSAGES`], and what is far beyond costs time to compute.
pub(crate) const MAX_INDEX: u32 = 10_000;

/// A session is this old at most, in milliseconds: a week.
pub(crate) const MAX_AGE: u64 = 7 * 24 * 60 * 60 * 1000;

/// Whom a session is for. One that is for others than now is not used again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Circle {
    /// Members, also those without devices.
    pub(crate) members: BTreeSet<AccountId>,
    /// The devices that have the key.
    #[serde(with = "as_list")]
    pub(crate) devices: BTreeMap<Address, Keys>,
}

/// A device's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Keys {
    pub(crate) curve25519: Curve25519PublicKey,
    pub(crate) ed25519: Ed25519PublicKey,
}

/// How long a session has been in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wear {
    /// When it was made, in milliseconds since 1970.
    pub(crate) made: u64,
    /// The index of its next message.
    pub(crate) next_index: u32,
}

/// Whether a session can be used for one more message. Everything that speaks
/// against it is in the arguments: what the server announces is not needed.
pub(crate) fn is_usable(session: &Circle, wear: Wear, wanted: &Circle, now: u64) -> bool {
    // A clock that went back says nothing about the age.
    let is_young = now.checked_sub(wear.made).is_some_and(|age| age < MAX_AGE);
    session == wanted && wear.next_index < MAX_MESSAGES && is_young
}

/// JSON has no maps with keys like these.
mod as_list {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Address, BTreeMap, Keys};

    pub(super) fn serialize<S: Serializer>(
        map: &BTreeMap<Address, Keys>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        map.iter().collect::<Vec<_>>().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Address, Keys>, D::Error> {
        Ok(Vec::<(Address, Keys)>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use vodozemac::{Curve25519SecretKey, Ed25519Keypair};

    use super::*;
    use crate::crypto::DeviceName;

    const FRESH: Wear = Wear { made: 1000, next_index: 0 };

    fn keys() -> Keys {
        let curve25519 = Curve25519PublicKey::from(&Curve25519SecretKey::new());
        Keys { curve25519, ed25519: Ed25519Keypair::new().public_key() }
    }

    fn circle(devices: &[(u8, &str)]) -> Circle {
        let account = |number| AccountId::from_bytes([number; 16]);
        let address = |&(number, name): &(u8, &str)| {
            Address::new(account(number), DeviceName::new(name).unwrap())
        };
        Circle {
            members: devices.iter().map(|&(number, _)| account(number)).collect(),
            devices: devices.iter().map(|device| (address(device), keys())).collect(),
        }
    }

    #[test]
    fn a_session_is_used_until_its_messages_or_its_week_are_over() {
        let circle = circle(&[(1, "phone")]);
        let usable = |wear, now| is_usable(&circle, wear, &circle, now);
        assert!(usable(FRESH, 1000));
        assert!(usable(Wear { next_index: MAX_MESSAGES - 1, ..FRESH }, 999 + MAX_AGE));
        assert!(!usable(Wear { next_index: MAX_MESSAGES, ..FRESH }, 1000));
        assert!(!usable(FRESH, 1000 + MAX_AGE));
        assert!(!usable(FRESH, 999), "the clock went back");
    }

    #[test]
    fn any_difference_in_members_devices_or_keys_ends_a_session() {
        let before = circle(&[(1, "phone"), (2, "desk")]);
        let mut left = before.clone();
        left.members.pop_last();
        let mut removed = before.clone();
        removed.devices.pop_first();
        let mut joined = before.clone();
        joined.members.insert(AccountId::from_bytes([9; 16]));
        let mut other_key = before.clone();
        other_key.devices.first_entry().unwrap().insert(keys());
        for wanted in [left, removed, joined, other_key] {
            assert!(!is_usable(&before, FRESH, &wanted, 1000));
        }
    }
}
