//! What is done with, and taken away after a while, so that the tables do not grow
//! for ever: envelopes that were acknowledged or have expired, those for devices
//! that will never come, and one-time keys that were claimed.
//!
//! The newest envelope of a recipient stays, since the next one is counted from it.
//! Of a key its id stays known, since a key is given out once.

use std::time::Duration;

use rusqlite::Connection;

use super::{Stop, Work};
use crate::values::{BundleId, Moment};

/// Rows that one piece of work takes away of each kind: others that write wait for
/// some milliseconds.
const PIECE: usize = 500;

/// What a piece of work has taken away.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Swept {
    pub envelopes: usize,
    pub keys: usize,
    /// Whether there is more.
    pub is_more: bool,
}

/// Envelopes that nobody asks for any more; `?1` is the moment before which that
/// has to have been.
const DONE: [&str; 3] = [
    "e.acked_at < ?1",
    "e.expires_at < ?1",
    "(e.recipient_id, e.recipient_device_id) IN (SELECT d.account_id, d.device_id FROM devices d \
     WHERE d.revoked_at < ?1 AND NOT EXISTS (SELECT 1 FROM tokens t \
     WHERE t.account_id = d.account_id AND t.device_id = d.device_id))",
];

/// Takes away a piece of what was done with for as long as `keep`.
pub(crate) fn sweep(work: &mut Work<'_>, keep: Duration) -> Result<Swept, Stop> {
    let until = work.now.before(keep);
    let mut swept = Swept::default();
    for done in DONE {
        let sql = format!(
            "DELETE FROM envelopes WHERE id IN (SELECT e.id FROM envelopes e WHERE {done} \
             AND e.sequence < (SELECT max(l.sequence) FROM envelopes l \
             WHERE l.recipient_id = e.recipient_id \
             AND l.recipient_device_id = e.recipient_device_id) LIMIT ?2)"
        );
        let gone = work.connection.prepare_cached(&sql)?.execute((until, PIECE))?;
        swept.envelopes += gone;
        swept.is_more |= gone == PIECE;
    }
    swept.keys = sweep_keys(work.connection, until)?;
    swept.is_more |= swept.keys == PIECE;
    Ok(swept)
}

fn sweep_keys(connection: &Connection, until: Moment) -> rusqlite::Result<usize> {
    let sql = "SELECT bundle_id, key_id FROM one_time_keys WHERE claimed_at < ?1 LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let keys = statement.query_map((until, PIECE), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let keys: Vec<(BundleId, i64)> = keys.collect::<Result<_, _>>()?;
    let sql = "DELETE FROM one_time_keys WHERE bundle_id = ?1 AND key_id = ?2";
    let mut delete = connection.prepare_cached(sql)?;
    for (bundle, key) in &keys {
        remember(connection, *bundle, *key)?;
        delete.execute((bundle, key))?;
    }
    Ok(keys.len())
}

/// Adds an id to the run that ends before it or begins behind it, or makes one.
fn remember(connection: &Connection, bundle: BundleId, key: i64) -> rusqlite::Result<()> {
    let find = "SELECT coalesce((SELECT first FROM used_key_ids WHERE bundle_id = ?1 \
                AND last = ?2 AND ?2 < ?3), ?3), coalesce((SELECT last FROM used_key_ids \
                WHERE bundle_id = ?1 AND first = ?4 AND ?4 > ?3), ?3)";
    let values = (bundle, key.saturating_sub(1), key, key.saturating_add(1));
    let mut find = connection.prepare_cached(find)?;
    let (first, last): (i64, i64) = find.query_row(values, |row| Ok((row.get(0)?, row.get(1)?)))?;
    let sql = "DELETE FROM used_key_ids WHERE bundle_id = ?1 AND first BETWEEN ?2 AND ?3";
    connection.prepare_cached(sql)?.execute((bundle, first, last))?;
    let sql = "INSERT INTO used_key_ids (bundle_id, first, last) VALUES (?1, ?2, ?3)";
    connection.prepare_cached(sql)?.execute((bundle, first, last))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Folder;

    #[test]
    fn ids_that_lie_side_by_side_are_one_run_however_they_come() {
        let folder = tempfile::tempdir().unwrap();
        let connection = Folder::prepare(folder.path()).unwrap().connections().open().unwrap();
        connection.pragma_update(None, "foreign_keys", false).unwrap();
        let bundle = BundleId::new(Moment(1)).unwrap();
        let other = BundleId::new(Moment(2)).unwrap();
        remember(&connection, other, 4).unwrap();
        for key in [5, 1, 3, 9, 2, i64::MAX, i64::MIN, 4, i64::MAX - 1] {
            remember(&connection, bundle, key).unwrap();
        }
        let sql = "SELECT first, last FROM used_key_ids WHERE bundle_id = ?1 ORDER BY first";
        let mut statement = connection.prepare(sql).unwrap();
        let runs = statement.query_map([bundle], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let runs: Vec<(i64, i64)> = runs.map(Result::unwrap).collect();
        let expected = [(i64::MIN, i64::MIN), (1, 5), (9, 9), (i64::MAX - 1, i64::MAX)];
        assert_eq!(runs, expected);
    }
}
