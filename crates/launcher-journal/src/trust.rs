//! The table `trust`: the trust ledger.

use launcher_core::{names::UserId, trust::UserRecord};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    seal::{Place, Sealer},
    trouble::Trouble,
};

/// The records of these users, as far as there are any.
pub(crate) fn records(
    connection: &Connection,
    sealer: &Sealer,
    users: &[UserId],
) -> Result<Vec<UserRecord>, Trouble> {
    let mut find = connection.prepare_cached("SELECT sealed FROM trust WHERE user = ?1")?;
    let mut found = Vec::new();
    for user in users {
        let sealed: Option<Vec<u8>> =
            find.query_row([user.as_str()], |row| row.get(0)).optional()?;
        if let Some(sealed) = sealed {
            found.push(open(sealer, user.as_str(), &sealed)?);
        }
    }
    Ok(found)
}

/// Every record, by user id.
pub(crate) fn all(connection: &Connection, sealer: &Sealer) -> Result<Vec<UserRecord>, Trouble> {
    let mut find = connection.prepare_cached("SELECT user, sealed FROM trust ORDER BY user")?;
    let rows =
        find.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
    rows.map(|row| {
        let (user, sealed) = row?;
        open(sealer, &user, &sealed)
    })
    .collect()
}

/// Replaces these users' records.
pub(crate) fn keep(
    connection: &Connection,
    sealer: &Sealer,
    records: &[UserRecord],
) -> Result<(), Trouble> {
    let mut keep = connection.prepare_cached(
        "INSERT INTO trust (user, sealed) VALUES (?1, ?2)
         ON CONFLICT (user) DO UPDATE SET sealed = excluded.sealed",
    )?;
    for record in records {
        let user = record.user.as_str();
        keep.execute(params![user, sealer.seal(record, &Place::new(&["trust", user]))?])?;
    }
    Ok(())
}

/// A record that does not open was tampered with. Whoever it is about may have
/// been blocked, so it is not taken for somebody who was never seen.
fn open(sealer: &Sealer, user: &str, sealed: &[u8]) -> Result<UserRecord, Trouble> {
    sealer
        .open(sealed, &Place::new(&["trust", user]))
        .map_err(|_| Trouble::Damaged(format!("the trust ledger's record of {user} does not open")))
}
