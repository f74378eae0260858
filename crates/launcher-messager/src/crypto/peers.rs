//! What is known of other devices, and what is new compared with that.
//!
//! Nothing about a device changes silently: each difference is a [`Finding`],
//! for the launcher's ledger and its operator. A device keeps the keys it was
//! first seen with. When the server shows others, it gets no keys any more and
//! is not believed, until an operator accepts them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use vodozemac::{Curve25519PublicKey, Ed25519PublicKey};

use super::{
    bundle::{BundleProblem, Checked, PublicBundle, check},
    codec::Writer,
    ids::{AccountId, Address, DeviceName},
    rotation::Keys,
};

/// A device of another account, or another one of this account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerDevice {
    /// Its name.
    pub address: Address,
    /// Its identity key.
    pub curve25519: Curve25519PublicKey,
    /// Its signing key, by which people know it.
    pub ed25519: Ed25519PublicKey,
    /// When it was first seen, in milliseconds since 1970.
    pub first_seen: u64,
    /// Whether its account had been seen before without it.
    pub late: bool,
    /// When it was found to be gone from its account.
    pub gone: Option<u64>,
    /// The keys that the server shows for it instead of those above.
    pub(crate) disputed: Option<Keys>,
    /// The youngest bundle that was seen of it.
    pub(crate) age: (u64, i32),
}

/// Something about devices that was not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A device of an account that was never seen before.
    DeviceFirstSeen(Address),
    /// A device that a known account did not have before.
    DeviceNew(Address),
    /// A device is gone from its account.
    DeviceGone(Address),
    /// The server shows other keys for a device than it had. It gets no keys
    /// until [`Machine::accept`](super::Machine::accept).
    KeysChanged(Address),
    /// The server shows other keys for this very device than it has.
    OwnKeysReplaced(Address),
    /// A device cannot be talked to.
    Unusable(Address, BundleProblem),
}

/// What Olm sessions are kept under: a device together with its identity key.
/// Somebody else can publish the same identity key, and must not have a part
/// in the sessions for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeerKey([u8; 32]);

impl PeerKey {
    pub(crate) fn new(address: &Address, keys: Keys) -> Self {
        let mut writer = Writer::default();
        writer.address(address).raw(keys.curve25519.as_bytes()).raw(keys.ed25519.as_bytes());
        Self(Sha256::digest(writer.finish()).into())
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// What the server showed of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AccountRecord {
    /// When, in milliseconds since 1970.
    pub(crate) fetched: u64,
    /// Each device that it showed, also those that cannot be talked to: the
    /// server wants an envelope for every one.
    pub(crate) shown: BTreeMap<DeviceName, Option<BundleProblem>>,
}

/// What follows from a list of bundles.
pub(crate) struct Reconciled {
    pub(crate) record: AccountRecord,
    /// All devices of the account, as they are known now.
    pub(crate) devices: BTreeMap<DeviceName, PeerDevice>,
    /// Bundles with which sessions can be opened.
    pub(crate) usable: Vec<Checked>,
    pub(crate) findings: Vec<Finding>,
}

impl PeerDevice {
    pub(crate) fn keys(&self) -> Keys {
        Keys { curve25519: self.curve25519, ed25519: self.ed25519 }
    }

    pub(crate) fn peer_key(&self) -> PeerKey {
        PeerKey::new(&self.address, self.keys())
    }

    /// Whether the server shows other keys for it than it had.
    pub fn is_disputed(&self) -> bool {
        self.disputed.is_some()
    }

    /// Whether it is there, with the keys that it had.
    pub fn is_present(&self) -> bool {
        self.gone.is_none() && self.disputed.is_none()
    }
}

/// Brings what is known of an account's devices up to what is shown now.
/// `before` is `None` for an account that was never seen; `own` are this
/// device's name and keys.
pub(crate) fn reconcile(
    account: AccountId,
    own: (&Address, Keys),
    before: Option<&AccountRecord>,
    mut devices: BTreeMap<DeviceName, PeerDevice>,
    shown: &[PublicBundle],
    now: u64,
) -> Reconciled {
    let mut record = AccountRecord { fetched: now, shown: BTreeMap::new() };
    let (mut usable, mut findings) = (Vec::new(), Vec::new());
    for bundle in shown.iter().filter(|bundle| bundle.address.account == account) {
        let address = &bundle.address;
        let result = match check(bundle) {
            Ok(checked) if address == own.0 => {
                if checked.keys != own.1 {
                    findings.push(Finding::OwnKeysReplaced(address.clone()));
                }
                Ok(())
            }
            Ok(checked) => {
                meet(&mut devices, &checked, before.is_none(), now, &mut findings).map(|()| {
                    usable.push(checked);
                })
            }
            Err(problem) => Err(problem),
        };
        let problem = result.err();
        let known = before.and_then(|before| before.shown.get(&address.device).copied().flatten());
        if let Some(problem) = problem.filter(|_| known != problem) {
            findings.push(Finding::Unusable(address.clone(), problem));
        }
        record.shown.insert(address.device.clone(), problem);
    }
    for device in devices.values_mut() {
        if device.gone.is_none() && !record.shown.contains_key(&device.address.device) {
            device.gone = Some(now);
            findings.push(Finding::DeviceGone(device.address.clone()));
        }
    }
    usable.retain(|checked| {
        let device = devices.get(&checked.address.device);
        device.is_some_and(|device| device.is_present() && device.keys() == checked.keys)
    });
    Reconciled { record, devices, usable, findings }
}

fn meet(
    devices: &mut BTreeMap<DeviceName, PeerDevice>,
    checked: &Checked,
    is_first: bool,
    now: u64,
    findings: &mut Vec<Finding>,
) -> Result<(), BundleProblem> {
    let address = &checked.address;
    let Some(known) = devices.get_mut(&address.device) else {
        findings.push(match is_first {
            true => Finding::DeviceFirstSeen(address.clone()),
            false => Finding::DeviceNew(address.clone()),
        });
        let device = PeerDevice {
            address: address.clone(),
            curve25519: checked.keys.curve25519,
            ed25519: checked.keys.ed25519,
            first_seen: now,
            late: !is_first,
            gone: None,
            disputed: None,
            age: checked.age,
        };
        devices.insert(address.device.clone(), device);
        return Ok(());
    };
    if known.gone.take().is_some() {
        findings.push(Finding::DeviceNew(address.clone()));
    }
    if known.keys() != checked.keys {
        if known.disputed.replace(checked.keys) != Some(checked.keys) {
            findings.push(Finding::KeysChanged(address.clone()));
        }
        return Ok(());
    }
    known.disputed = None;
    if checked.age < known.age {
        return Err(BundleProblem::RolledBack);
    }
    known.age = checked.age;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::own::Own;

    fn address(device: &str) -> Address {
        Address::new(AccountId::from_bytes([1; 16]), DeviceName::new(device).unwrap())
    }

    struct Watcher {
        me: Own,
        record: Option<AccountRecord>,
        devices: BTreeMap<DeviceName, PeerDevice>,
    }

    impl Watcher {
        fn new() -> Self {
            let own = Address::new(AccountId::from_bytes([9; 16]), DeviceName::new("me").unwrap());
            Self { me: Own::new(own, 0), record: None, devices: BTreeMap::new() }
        }

        fn see(&mut self, shown: &[PublicBundle]) -> Vec<Finding> {
            let own = (&self.me.notes.address, self.me.keys());
            let account = AccountId::from_bytes([1; 16]);
            let devices = self.devices.clone();
            let seen = reconcile(account, own, self.record.as_ref(), devices, shown, 5);
            self.record = Some(seen.record);
            self.devices = seen.devices;
            seen.findings
        }
    }

    #[test]
    fn devices_are_announced_when_they_come_and_when_they_go() {
        let (phone, desk) = (Own::new(address("phone"), 0), Own::new(address("desk"), 0));
        let bundles = [phone.upload(1).unwrap().bundle, desk.upload(1).unwrap().bundle];
        let mut watcher = Watcher::new();
        assert_eq!(watcher.see(&bundles[..1]), [Finding::DeviceFirstSeen(address("phone"))]);
        assert_eq!(watcher.see(&bundles), [Finding::DeviceNew(address("desk"))]);
        assert_eq!(watcher.see(&bundles), []);
        assert_eq!(watcher.see(&bundles[1..]), [Finding::DeviceGone(address("phone"))]);
        assert_eq!(watcher.see(&bundles), [Finding::DeviceNew(address("phone"))]);
    }

    #[test]
    fn other_keys_under_a_known_name_are_announced_once_and_not_taken() {
        let (phone, swapped) = (Own::new(address("phone"), 0), Own::new(address("phone"), 0));
        let mut watcher = Watcher::new();
        watcher.see(&[phone.upload(1).unwrap().bundle]);
        let shown = [swapped.upload(2).unwrap().bundle];
        assert_eq!(watcher.see(&shown), [Finding::KeysChanged(address("phone"))]);
        assert_eq!(watcher.see(&shown), []);
        let device = &watcher.devices[&address("phone").device];
        assert_eq!(device.keys(), phone.keys());
        assert!(!device.is_present());
    }

    #[test]
    fn a_bundle_that_is_older_than_before_is_refused() {
        let phone = Own::new(address("phone"), 0);
        let mut watcher = Watcher::new();
        watcher.see(&[phone.upload(2).unwrap().bundle]);
        let expected = Finding::Unusable(address("phone"), BundleProblem::RolledBack);
        let old = [phone.upload(1).unwrap().bundle];
        assert_eq!(watcher.see(&old), [expected]);
        assert_eq!(watcher.see(&old), [], "said once");
    }

    #[test]
    fn bundles_of_other_accounts_in_the_list_are_not_looked_at() {
        let stranger = Address::new(AccountId::from_bytes([7; 16]), address("phone").device);
        let bundle = Own::new(stranger, 0).upload(1).unwrap().bundle;
        assert_eq!(Watcher::new().see(&[bundle]), []);
    }
}
