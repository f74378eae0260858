//! The machine: what the server said goes in, what is to be done comes out.
//!
//! Nothing is kept in memory but this device's own name and keys. Each call
//! reads what it needs from `crypto.db` and is one transaction there, so a
//! machine that is dropped at any moment and opened again goes on where it was.
//! The calls that lead to requests can be made again at any time: they say what
//! is still to be done.

mod asking;
mod delivering;
mod devices;
mod pairing;
mod reading;
mod receiving;
mod sending;
#[cfg(test)]
mod tests;

use std::path::Path;

use launcher_core::secret::PickleKey;

pub use self::{
    asking::{Answer, Ask},
    delivering::Work,
    devices::Published,
    reading::{Opened, ReadRow, RowSender},
    receiving::{EnvelopeRefusal, Freshness, Received},
    sending::{Audience, Draft, SendError, Step},
};
use super::{
    ids::{AccountId, Address},
    own::{Notes, Own},
    parcel::End,
    rotation::Keys,
    safety::{SafetyNumber, Side},
};
use crate::store::{Store, StoreError, Tx};

const DAY: u64 = 24 * 60 * 60 * 1000;

/// How long what was in a place is kept, in milliseconds.
const CONTENT_KEPT: u64 = 8 * DAY;

/// How long sessions of this device can be asked for, and messages of its own be
/// tried again as they are, in milliseconds.
const SENT_KEPT: u64 = 30 * DAY;

/// One device's end-to-end encryption.
pub struct Machine {
    store: Store,
    me: Me,
    generation: u64,
}

/// This device.
#[derive(Clone)]
struct Me {
    address: Address,
    keys: Keys,
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Machine")
            .field("address", &self.me.address)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

impl Machine {
    /// Makes the keys of a device that never had any. `now` is in milliseconds
    /// since 1970, here and everywhere.
    ///
    /// # Errors
    ///
    /// Also if there is a store already: a device has one pair of keys for life.
    pub fn create(
        path: &Path,
        key: &PickleKey,
        address: &Address,
        now: u64,
    ) -> Result<Self, StoreError> {
        let own = Own::new(address.clone(), now);
        Self::begin(Store::make(path, key, &own)?, &own.notes)
    }

    /// Opens the store at `path`; `None` if there is none. Counts a generation,
    /// and forgets the sessions that rooms' next messages would have gone into:
    /// nobody can know whether this store is a copy of one that went on.
    ///
    /// # Errors
    ///
    /// With the wrong key, or for another device, no byte was changed.
    pub fn open(
        path: &Path,
        key: &PickleKey,
        address: &Address,
    ) -> Result<Option<Self>, StoreError> {
        match Store::open(path, key, address)? {
            Some((store, notes)) => Self::begin(store, &notes).map(Some),
            None => Ok(None),
        }
    }

    /// Whose store is at `path`; `None` if there is none. Changes no byte.
    ///
    /// # Errors
    ///
    /// If the key is wrong, or the file is not a store.
    pub fn owner(path: &Path, key: &PickleKey) -> Result<Option<Address>, StoreError> {
        Store::owner(path, key)
    }

    fn begin(mut store: Store, notes: &Notes) -> Result<Self, StoreError> {
        let me = Me { address: notes.address().clone(), keys: notes.keys() };
        let generation = store.write(|tx| {
            tx.count_generation()?;
            tx.forget_groups_out()?;
            tx.generation()
        })?;
        Ok(Self { store, me, generation })
    }

    /// This device's name.
    pub fn address(&self) -> &Address {
        &self.me.address
    }

    /// This device's signing key, by which people know it, base64.
    pub fn ed25519(&self) -> String {
        self.me.keys.ed25519.to_base64()
    }

    /// This device's identity key, base64.
    pub fn curve25519(&self) -> String {
        self.me.keys.curve25519.to_base64()
    }

    /// How often the store was opened. It is published with the keys, so that
    /// a store that was restored from a copy is behind the server's.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What this device's owner and somebody else compare; `None` if no device
    /// of theirs is known, or it is this account.
    pub fn safety_number(
        &mut self,
        account: AccountId,
    ) -> Result<Option<SafetyNumber>, StoreError> {
        if account == self.me.address.account {
            return Ok(None);
        }
        let me = self.me.clone();
        self.store.read(|tx| {
            let mut own = side(tx, me.address.account)?;
            own.devices.push((me.address.device, me.keys));
            let other = side(tx, account)?;
            Ok((!other.devices.is_empty()).then(|| SafetyNumber::between(&own, &other)))
        })
    }

    /// Forgets what is not needed any more. Call it once a day.
    ///
    /// # Errors
    ///
    /// If the store cannot be used.
    pub fn prune(&mut self, now: u64) -> Result<(), StoreError> {
        self.store.write(|tx| {
            tx.prune_envelopes(now.saturating_sub(SENT_KEPT))?;
            // First, as contents and sessions stay for it.
            tx.prune_outbox(now.saturating_sub(CONTENT_KEPT), now.saturating_sub(SENT_KEPT))?;
            tx.prune_contents(now.saturating_sub(CONTENT_KEPT))?;
            tx.prune_unread(now.saturating_sub(CONTENT_KEPT))?;
            tx.prune_missing(now.saturating_sub(CONTENT_KEPT))?;
            tx.prune_sent(now.saturating_sub(SENT_KEPT))
        })
    }
}

impl Me {
    fn end(&self) -> End {
        End { address: self.address.clone(), ed25519: self.keys.ed25519 }
    }
}

fn side(tx: &Tx<'_>, account: AccountId) -> Result<Side, StoreError> {
    let devices = tx.devices(account)?.into_values().filter(|device| device.gone.is_none());
    let devices = devices.map(|device| (device.address.device.clone(), device.keys())).collect();
    Ok(Side { account, devices })
}
