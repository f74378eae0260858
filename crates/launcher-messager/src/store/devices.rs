//! Accounts and their devices.

use std::collections::BTreeMap;

use vodozemac::Curve25519PublicKey;

use super::{StoreError, table::Tx};
use crate::crypto::{AccountId, AccountRecord, DeviceName, PeerDevice};

impl Tx<'_> {
    pub(crate) fn account(&self, account: AccountId) -> Result<Option<AccountRecord>, StoreError> {
        let key = account.as_bytes();
        let sealed: Option<Vec<u8>> =
            self.one("SELECT record FROM account WHERE account = ?1", [key], |row| row.get(0))?;
        sealed.map(|sealed| self.open(&sealed, &[b"account", key])).transpose()
    }

    pub(crate) fn put_account(
        &self,
        account: AccountId,
        record: &AccountRecord,
    ) -> Result<(), StoreError> {
        let key = account.as_bytes();
        let sealed = self.seal(record, &[b"account", key])?;
        let sql = "INSERT OR REPLACE INTO account (account, record) VALUES (?1, ?2)";
        self.execute(sql, (key, sealed)).map(drop)
    }

    /// Every device of the account that was ever seen.
    pub(crate) fn devices(
        &self,
        account: AccountId,
    ) -> Result<BTreeMap<DeviceName, PeerDevice>, StoreError> {
        let key = account.as_bytes();
        let sql = "SELECT device, record FROM device WHERE account = ?1";
        let rows = self.all(sql, [key], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let open = |(name, sealed): (String, Vec<u8>)| {
            let device: PeerDevice = self.open(&sealed, &[b"device", key, name.as_bytes()])?;
            Ok((device.address.device.clone(), device))
        };
        rows.into_iter().map(open).collect()
    }

    pub(crate) fn put_device(&self, device: &PeerDevice) -> Result<(), StoreError> {
        let (key, name) = (device.address.account.as_bytes(), device.address.device.as_str());
        let sealed = self.seal(device, &[b"device", key, name.as_bytes()])?;
        let sql = "INSERT OR REPLACE INTO device (account, device, record) VALUES (?1, ?2, ?3)";
        self.execute(sql, (key, name, sealed)).map(drop)
    }

    /// The device of the account that has this identity key; one that is
    /// there, if several had it.
    pub(crate) fn device_with(
        &self,
        account: AccountId,
        key: &Curve25519PublicKey,
    ) -> Result<Option<PeerDevice>, StoreError> {
        let devices = self.devices(account)?.into_values();
        Ok(devices
            .filter(|device| device.curve25519 == *key)
            .min_by_key(|device| device.gone.is_some()))
    }
}
