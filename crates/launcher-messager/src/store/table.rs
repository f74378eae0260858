//! A transaction, and what all tables have in common.

use rusqlite::{OptionalExtension, Params, Row, Transaction};
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::{StoreError, seal::Sealer};
use crate::crypto::{Notes, Own};

/// A transaction under way.
pub(crate) struct Tx<'a> {
    transaction: &'a Transaction<'a>,
    sealer: &'a Sealer,
}

/// The place of what is known of this device's keys.
pub(super) const NOTES_PLACE: [&[u8]; 1] = [b"value record"];

/// The place of this device's keys.
const ACCOUNT_PLACE: [&[u8]; 1] = [b"value account"];

impl<'a> Tx<'a> {
    pub(super) fn new(transaction: &'a Transaction<'a>, sealer: &'a Sealer) -> Self {
        Self { transaction, sealer }
    }

    /// What is known of this device's keys: enough for most of what is asked,
    /// and much cheaper than the keys.
    pub(crate) fn notes(&self) -> Result<Notes, StoreError> {
        let sealed = self.one("SELECT record FROM value", [], |row| row.get(0))?;
        let sealed: Vec<u8> = sealed.ok_or(StoreError::damaged("the table of values"))?;
        self.open(&sealed, &NOTES_PLACE)
    }

    /// This device's keys.
    pub(crate) fn own(&self) -> Result<Own, StoreError> {
        let sealed = self.one("SELECT account FROM value", [], |row| row.get(0))?;
        let sealed: Vec<u8> = sealed.ok_or(StoreError::damaged("the table of values"))?;
        Ok(Own::from_pickle(self.open(&sealed, &ACCOUNT_PLACE)?, self.notes()?))
    }

    pub(crate) fn put_own(&self, own: &Own) -> Result<(), StoreError> {
        let account = self.seal(&own.account.pickle(), &ACCOUNT_PLACE)?;
        let notes = self.seal(&own.notes, &NOTES_PLACE)?;
        self.execute("UPDATE value SET account = ?1, record = ?2", (account, notes)).map(drop)
    }

    /// How often the store was opened.
    pub(crate) fn generation(&self) -> Result<u64, StoreError> {
        let found = self.one("SELECT generation FROM value", [], |row| row.get::<_, i64>(0))?;
        let found = found.and_then(|number| u64::try_from(number).ok());
        found.ok_or(StoreError::damaged("the generation"))
    }

    pub(crate) fn count_generation(&self) -> Result<(), StoreError> {
        self.execute("UPDATE value SET generation = generation + 1", []).map(drop)
    }

    pub(super) fn execute(&self, sql: &str, values: impl Params) -> Result<usize, StoreError> {
        Ok(self.transaction.prepare_cached(sql)?.execute(values)?)
    }

    pub(super) fn one<T>(
        &self,
        sql: &str,
        values: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.transaction.prepare_cached(sql)?.query_row(values, read).optional()?)
    }

    pub(super) fn all<T>(
        &self,
        sql: &str,
        values: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.transaction.prepare_cached(sql)?;
        let rows = statement.query_map(values, read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The first column of a row that counts something.
    pub(super) fn count(&self, sql: &str, values: impl Params) -> Result<i64, StoreError> {
        Ok(self.one(sql, values, |row| row.get(0))?.unwrap_or_default())
    }

    pub(super) fn seal(
        &self,
        value: &impl Serialize,
        parts: &[&[u8]],
    ) -> Result<Vec<u8>, StoreError> {
        let plain = serde_json::to_vec(value).map_err(|_| StoreError::damaged("a value"))?;
        Ok(self.sealer.seal(&Zeroizing::new(plain), parts)?)
    }

    pub(super) fn open<T: DeserializeOwned>(
        &self,
        sealed: &[u8],
        parts: &[&[u8]],
    ) -> Result<T, StoreError> {
        let plain = self.sealer.open(sealed, parts)?;
        serde_json::from_slice(&plain).map_err(|_| StoreError::damaged("a sealed value"))
    }

    pub(super) fn sealer(&self) -> &Sealer {
        self.sealer
    }
}

/// A moment as a number in a column; one beyond the end of time is its end.
pub(super) fn moment(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}

/// The moment in a column.
pub(super) fn from_moment(millis: i64) -> u64 {
    u64::try_from(millis).unwrap_or_default()
}
