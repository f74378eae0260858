//! The tables, and how a file gets those of this version.

use rusqlite::{Connection, TransactionBehavior};

use crate::{seal::Sealer, trouble::Trouble, value};

/// Each step leads to the version that is its place in the list, counted from one.
const STEPS: &[&str] = &[
    include_str!("../migrations/0001.sql"),
    include_str!("../migrations/0002.sql"),
    include_str!("../migrations/0003.sql"),
    include_str!("../migrations/0004.sql"),
    include_str!("../migrations/0005.sql"),
    include_str!("../migrations/0006.sql"),
];

/// The version of the tables that this launcher works with.
pub(crate) const LATEST: u32 = STEPS.len() as u32;

/// The version of a file's tables; zero if there are none.
pub(crate) fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Refuses a file of a launcher that is newer than this one.
pub(crate) fn check_version(version: u32) -> Result<(), Trouble> {
    if version <= LATEST {
        return Ok(());
    }
    Err(Trouble::Damaged(format!(
        "a newer launcher wrote it: it has version {version}, this launcher knows {LATEST}"
    )))
}

/// Makes the tables those of the latest version, in one transaction.
pub(crate) fn migrate(connection: &mut Connection, sealer: &Sealer) -> Result<(), Trouble> {
    let found = version(connection)?;
    check_version(found)?;
    if found == LATEST {
        return Ok(());
    }
    if found == 0 {
        // It can be chosen before the first table only.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in STEPS.iter().skip(found as usize) {
        transaction.execute_batch(step)?;
    }
    if found == 0 {
        value::write_first(&transaction, sealer)?;
    }
    transaction.pragma_update(None, "user_version", LATEST)?;
    transaction.commit()?;
    Ok(())
}
