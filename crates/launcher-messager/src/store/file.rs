//! The file: looked at, made, opened, and its transactions.

use std::{path::Path, time::Duration};

use fs_err::{OpenOptions, os::unix::fs::OpenOptionsExt};
use launcher_core::secret::PickleKey;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::{
    StoreError,
    look::{CHECK, CHECK_PLACE, Found, look},
    seal::Sealer,
    table::Tx,
};
use crate::crypto::{Address, Notes, Own};

/// Each step leads to the version that is its place in the list, counted from one.
const STEPS: &[&str] = &[include_str!("schema.sql"), include_str!("schema_2.sql")];

/// The version of the tables.
pub(super) const VERSION: u32 = STEPS.len() as u32;

/// Only this process uses the file, so a lock is held for moments: by a
/// transaction of a life that was cut off, or by a backup.
const PATIENCE: Duration = Duration::from_secs(2);

/// An open store.
pub(crate) struct Store {
    sealer: Sealer,
    connection: Connection,
}

impl Store {
    /// Opens the store of a device at `path` if there is one.
    ///
    /// # Errors
    ///
    /// With the wrong key, or for another device, before any byte was changed.
    pub(crate) fn open(
        path: &Path,
        key: &PickleKey,
        address: &Address,
    ) -> Result<Option<(Self, Notes)>, StoreError> {
        let sealer = Sealer::new(key);
        match look(path, &sealer)? {
            Found::Nothing => Ok(None),
            Found::Store(notes) if notes.address() != address => Err(StoreError::OtherIdentity {
                path: path.to_owned(),
                account: notes.address().account.to_string(),
                device: notes.address().device.as_str().to_owned(),
            }),
            Found::Store(notes) => {
                let mut connection = connect(path)?;
                migrate(&mut connection)?;
                Ok(Some((Self { connection, sealer }, *notes)))
            }
        }
    }

    /// Whose store is at `path`; `None` if there is none. Changes no byte.
    ///
    /// # Errors
    ///
    /// If the key is wrong, or the file is not a store.
    pub(crate) fn owner(path: &Path, key: &PickleKey) -> Result<Option<Address>, StoreError> {
        Ok(match look(path, &Sealer::new(key))? {
            Found::Nothing => None,
            Found::Store(notes) => Some(notes.address().clone()),
        })
    }

    /// Makes a store with the keys of a new device, where none is.
    pub(crate) fn make(path: &Path, key: &PickleKey, own: &Own) -> Result<Self, StoreError> {
        let sealer = Sealer::new(key);
        if !matches!(look(path, &sealer)?, Found::Nothing) {
            return Err(StoreError::Exists { path: path.to_owned() });
        }
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(PATIENCE)?;
        // Before there is a write-ahead log: then the check of the key is in the
        // file itself from the first moment, where a look finds it.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for step in STEPS {
            transaction.execute_batch(step)?;
        }
        let check = sealer.seal(CHECK, &CHECK_PLACE)?;
        transaction.execute(
            "INSERT INTO value (id, key_check, generation, account, record)
             VALUES (1, ?1, 0, x'', x'')",
            [check],
        )?;
        Tx::new(&transaction, &sealer).put_own(own)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()?;
        drop(connection);
        Ok(Self { connection: connect(path)?, sealer })
    }

    /// Does `work` in one transaction: all of it is on the disk when this
    /// returns, or nothing.
    pub(crate) fn write<T, E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(StoreError::from)?;
        let done = work(&Tx::new(&transaction, &self.sealer))?;
        transaction.commit().map_err(StoreError::from)?;
        Ok(done)
    }

    /// Looks something up.
    pub(crate) fn read<T>(
        &mut self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let transaction = self.connection.transaction()?;
        work(&Tx::new(&transaction, &self.sealer))
    }
}

/// Brings everything of a store that nobody has open into its one file.
///
/// # Errors
///
/// If it cannot be used.
pub(crate) fn fold(path: &Path) -> Result<(), StoreError> {
    let connection = connect(path)?;
    Ok(connection.pragma_update(None, "journal_mode", "DELETE")?)
}

/// Makes the tables of a store those of this version, in one transaction.
fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found == VERSION {
        return Ok(());
    }
    for step in STEPS.iter().skip(found as usize) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    Ok(transaction.commit()?)
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -256)?;
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 256)?;
    connection.pragma_update(None, "journal_size_limit", 1 << 20)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}
