//! The tables, step by step. A released step is never changed.

use rusqlite::{Connection, TransactionBehavior};

use super::OpenError;

/// Each step leads to the version that is its place in the list, counted from one.
const STEPS: [&str; 4] = [
    include_str!("../../migrations/0001.sql"),
    include_str!("../../migrations/0002.sql"),
    include_str!("../../migrations/0003.sql"),
    include_str!("../../migrations/0004.sql"),
];

/// Makes the tables those of the latest version, in one transaction.
///
/// # Errors
///
/// [`OpenError::Newer`] if they are of a later version.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    // Another process may be at it: whoever has the lock looks again.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = u32::try_from(STEPS.len()).unwrap_or(u32::MAX);
    if found > known {
        return Err(OpenError::Newer { found, known });
    }
    if found == known {
        return Ok(());
    }
    for step in STEPS.iter().skip(usize::try_from(found).unwrap_or(usize::MAX)) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    transaction.commit()?;
    Ok(())
}
