//! This device's keys at the server, and those of others.

use vodozemac::{Ed25519PublicKey, olm::SessionConfig};

use super::{Machine, Me, pairing};
use crate::{
    crypto::{
        AccountId, Address, BundleProblem, Finding, PeerDevice, PeerKey, PublicBundle, Upload,
        UploadMark,
        bundle::{Checked, check},
        parcel::Goods,
        peers::{Reconciled, reconcile},
    },
    store::{PeerState, StoreError, Tx},
};

/// What the server has of this device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// Nothing: it has to be uploaded.
    Missing,
    /// What this store has uploaded.
    Ours,
    /// What a later life of this device has uploaded: this store was restored
    /// from a copy, or a copy of it is running.
    Ahead,
    /// Other keys than this store has.
    Foreign,
}

impl Machine {
    /// What has to be uploaded, if anything has: at each start, and when keys
    /// were made. Ask after each envelope, and once an hour.
    ///
    /// # Errors
    ///
    /// If the store cannot be used.
    pub fn upload(&mut self, now: u64) -> Result<Option<Upload>, StoreError> {
        let generation = self.generation;
        self.store.write(|tx| {
            if tx.notes()?.is_current(generation, now) {
                return Ok(None);
            }
            let mut own = tx.own()?;
            own.refresh(now);
            // Before anything leaves: what the server shows later is ours if it was offered.
            own.offer(generation);
            tx.put_own(&own)?;
            Ok(own.upload(generation))
        })
    }

    /// The server has what [`Machine::upload`] gave.
    ///
    /// # Errors
    ///
    /// If the store cannot be used.
    pub fn uploaded(&mut self, mark: UploadMark, now: u64) -> Result<(), StoreError> {
        self.store.write(|tx| {
            let mut own = tx.own()?;
            own.uploaded(mark, now);
            tx.put_own(&own)
        })
    }

    /// Compares what the server shows of this very device with this store.
    /// Ask before the first upload of a life.
    ///
    /// # Errors
    ///
    /// If the store cannot be used.
    pub fn published(&mut self, shown: Option<&PublicBundle>) -> Result<Published, StoreError> {
        let Some(shown) = shown else { return Ok(Published::Missing) };
        let Ok(checked) = check(shown) else { return Ok(Published::Foreign) };
        if checked.address != self.me.address || checked.keys != self.me.keys {
            return Ok(Published::Foreign);
        }
        let offered = self.store.read(|tx| tx.notes())?.offered();
        // Not compared with this life's generation: it grows with each start, also of a store that
        // was restored from a copy and only has to be started often enough.
        Ok(if checked.age.0 > offered { Published::Ahead } else { Published::Ours })
    }

    /// When this store last wrote a row; `None` if it never did.
    ///
    /// # Errors
    ///
    /// If the store cannot be used.
    pub fn last_written(&mut self) -> Result<Option<u64>, StoreError> {
        let own = self.me.keys.curve25519;
        self.store.read(|tx| tx.last_written(&own))
    }

    /// Takes in the devices that the server shows of an account: all of them,
    /// none claimed. Says what is new about them; nothing of it is silent.
    ///
    /// # Errors
    ///
    /// If the store cannot be used.
    pub fn devices(
        &mut self,
        account: AccountId,
        shown: &[PublicBundle],
        now: u64,
    ) -> Result<Vec<Finding>, StoreError> {
        let me = &self.me;
        self.store.write(|tx| take_in(tx, me, account, shown, now).map(|seen| seen.findings))
    }

    /// The same with a one-time key claimed for each device. Opens a session
    /// with each that has none, or whose sessions are stuck.
    ///
    /// # Errors
    ///
    /// If the store cannot be used.
    pub fn claimed(
        &mut self,
        account: AccountId,
        shown: &[PublicBundle],
        now: u64,
    ) -> Result<Vec<Finding>, StoreError> {
        let me = &self.me;
        self.store.write(|tx| {
            let mut seen = take_in(tx, me, account, shown, now)?;
            for checked in &seen.usable {
                if !pair_with(tx, me, &seen, checked, now)? {
                    let problem = BundleProblem::UselessKey;
                    seen.findings.push(Finding::Unusable(checked.address.clone(), problem));
                }
            }
            // Whatever could not be done now is not tried again at once.
            for device in seen.devices.values() {
                let peer = &device.peer_key();
                let before = tx.peer(peer)?;
                let mut state = before;
                if !tx.has_pair(peer)? {
                    state.unreachable = now;
                }
                if state.is_wedged {
                    state.mended = now;
                }
                state.is_wedged &= device.is_present();
                if state != before {
                    tx.put_peer(peer, account, state)?;
                }
            }
            Ok(seen.findings)
        })
    }

    /// Every device of the account that was ever seen, for the trust ledger.
    ///
    /// # Errors
    ///
    /// If the store cannot be used.
    pub fn known(&mut self, account: AccountId) -> Result<Vec<PeerDevice>, StoreError> {
        self.store.read(|tx| Ok(tx.devices(account)?.into_values().collect()))
    }

    /// Takes the keys that the server shows for a device instead of those that
    /// it had, by an operator's word. `ed25519` is what the operator has
    /// compared; `false` if the server does not show it.
    ///
    /// # Errors
    ///
    /// If the store cannot be used.
    pub fn accept(
        &mut self,
        address: &Address,
        ed25519: &Ed25519PublicKey,
    ) -> Result<bool, StoreError> {
        self.store.write(|tx| {
            let device = tx.devices(address.account)?.remove(&address.device);
            let Some(mut device) = device else { return Ok(false) };
            let Some(keys) = device.disputed.take_if(|keys| keys.ed25519 == *ed25519) else {
                return Ok(false);
            };
            device.curve25519 = keys.curve25519;
            device.ed25519 = keys.ed25519;
            device.late = true;
            device.age = (0, 0);
            tx.put_device(&device)?;
            Ok(true)
        })
    }
}

fn take_in(
    tx: &Tx<'_>,
    me: &Me,
    account: AccountId,
    shown: &[PublicBundle],
    now: u64,
) -> Result<Reconciled, StoreError> {
    let (record, known) = (tx.account(account)?, tx.devices(account)?);
    let own = (&me.address, me.keys);
    let seen = reconcile(account, own, record.as_ref(), known.clone(), shown, now);
    tx.put_account(account, &seen.record)?;
    for (name, device) in &seen.devices {
        if known.get(name) != Some(device) {
            tx.put_device(device)?;
        }
    }
    Ok(seen)
}

/// Opens a session if one is wanted; `false` if none can be.
fn pair_with(
    tx: &Tx<'_>,
    me: &Me,
    seen: &Reconciled,
    checked: &Checked,
    now: u64,
) -> Result<bool, StoreError> {
    let peer = &PeerKey::new(&checked.address, checked.keys);
    let identity = checked.keys.curve25519;
    let state = tx.peer(peer)?;
    if tx.has_pair(peer)? && !state.is_wedged {
        return Ok(true);
    }
    let own = tx.own()?;
    let opened =
        own.account.create_outbound_session(SessionConfig::version_1(), identity, checked.opening);
    let Ok(session) = opened else { return Ok(false) };
    tx.prefer_pair(peer, &session)?;
    let settled = PeerState { is_wedged: false, mended: now, unreachable: 0 };
    tx.put_peer(peer, checked.address.account, settled)?;
    if state.is_wedged
        && let Some(device) = seen.devices.get(&checked.address.device)
    {
        let client = format!("p:{}", session.session_id());
        pairing::control(tx, me, device, Goods::Nothing, client)?;
    }
    Ok(true)
}
