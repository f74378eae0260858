//! Safety numbers: what two people compare to know that the server shows each
//! of them the other's own devices.
//!
//! Messager has no key of an account that its devices are signed with, so the
//! number is over all devices of both accounts. It changes with each device
//! that is added or removed.

use std::fmt;

use sha2::{Digest, Sha512};

use super::{
    codec::Writer,
    ids::{AccountId, DeviceName},
    rotation::Keys,
};

/// How often is hashed. Makes it dear to search for devices whose number
/// begins or ends like another.
const ROUNDS: u32 = 5200;

/// Groups of five digits for each account.
const GROUPS: usize = 6;

/// 60 digits, the same for both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SafetyNumber(String);

/// An account with its devices.
pub(crate) struct Side {
    pub(crate) account: AccountId,
    /// In the order of their names.
    pub(crate) devices: Vec<(DeviceName, Keys)>,
}

impl SafetyNumber {
    /// The number of two accounts, whichever comes first.
    pub(crate) fn between(one: &Side, other: &Side) -> Self {
        let mut halves = [half(one), half(other)];
        halves.sort();
        Self(halves.concat())
    }

    /// The digits without anything between them.
    pub fn digits(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SafetyNumber {
    /// Twelve groups of five digits.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, digit) in self.0.chars().enumerate() {
            if position > 0 && position % 5 == 0 {
                formatter.write_str(" ")?;
            }
            write!(formatter, "{digit}")?;
        }
        Ok(())
    }
}

/// The 30 digits of one account.
fn half(side: &Side) -> String {
    let mut devices = side.devices.clone();
    devices.sort_by(|one, other| one.0.cmp(&other.0));
    let mut writer = Writer::default();
    writer.text("launcher safety number v1").raw(side.account.as_bytes());
    for (device, keys) in &devices {
        writer.text(device.as_str()).raw(keys.ed25519.as_bytes()).raw(keys.curve25519.as_bytes());
    }
    let seed = writer.finish();
    let mut hash: [u8; 64] = Sha512::digest(&seed).into();
    for _ in 1..ROUNDS {
        hash = Sha512::new().chain_update(hash).chain_update(&seed).finalize().into();
    }
    hash.chunks_exact(5).take(GROUPS).map(group).collect()
}

/// Five bytes as five digits.
fn group(bytes: &[u8]) -> String {
    let number = bytes.iter().fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
    format!("{:05}", number % 100_000)
}

#[cfg(test)]
mod tests {
    use vodozemac::{Curve25519PublicKey, Curve25519SecretKey, Ed25519Keypair};

    use super::*;

    fn side(number: u8, names: &[&str]) -> Side {
        let keys = || Keys {
            curve25519: Curve25519PublicKey::from(&Curve25519SecretKey::new()),
            ed25519: Ed25519Keypair::new().public_key(),
        };
        Side {
            account: AccountId::from_bytes([number; 16]),
            devices: names.iter().map(|name| (DeviceName::new(*name).unwrap(), keys())).collect(),
        }
    }

    #[test]
    fn both_sides_see_the_same_sixty_digits() {
        let (mut alice, bob) = (side(1, &["phone", "desk"]), side(2, &["phone"]));
        let number = SafetyNumber::between(&alice, &bob);
        assert_eq!(number, SafetyNumber::between(&bob, &alice));
        alice.devices.reverse();
        assert_eq!(number, SafetyNumber::between(&alice, &bob));
        assert_eq!(number.digits().len(), 60);
        assert!(number.digits().chars().all(|digit| digit.is_ascii_digit()));
        assert_eq!(number.to_string().split(' ').count(), 12);
    }

    #[test]
    fn every_device_and_every_key_is_in_the_number() {
        let (alice, bob) = (side(1, &["phone", "desk"]), side(2, &["phone"]));
        let number = SafetyNumber::between(&alice, &bob);
        let without = Side { devices: bob.devices[..0].to_vec(), ..side(2, &[]) };
        let swapped = side(2, &["phone"]);
        let renamed =
            Side { account: AccountId::from_bytes([3; 16]), devices: bob.devices.clone() };
        for other in [without, swapped, renamed] {
            assert_ne!(number, SafetyNumber::between(&alice, &other));
        }
    }
}
