//! Everything sealed anew with another key.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::{
    seal::{Place, Sealer},
    trouble::Trouble,
    value,
};

/// Tables with sealed rows, and the columns that name a row's place.
const SEALED: &[(&str, &[&str])] = &[
    ("inbox", &["event", "room", "sender"]),
    ("outbox", &["transaction_id"]),
    ("undecryptable", &["event", "room"]),
    ("trust", &["user"]),
    ("outgoing", &["key"]),
    ("greeting", &["user"]),
    ("work", &["event"]),
    ("memory", &["key"]),
    ("question", &["key"]),
];

/// Seals every row anew, in one transaction. A row that does not open stays as
/// it is: it is lost either way.
pub(crate) fn reseal(
    connection: &mut Connection,
    from: &Sealer,
    to: &Sealer,
) -> Result<(), Trouble> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    value::check_key(&transaction, from)?;
    value::reseal(&transaction, to)?;
    for (table, columns) in SEALED {
        reseal_table(&transaction, table, columns, from, to)?;
    }
    transaction.commit()?;
    Ok(())
}

fn reseal_table(
    transaction: &Transaction<'_>,
    table: &str,
    columns: &[&str],
    from: &Sealer,
    to: &Sealer,
) -> Result<(), Trouble> {
    let mut update =
        transaction.prepare(&format!("UPDATE {table} SET sealed = ?2 WHERE rowid = ?1"))?;
    let mut rows = transaction.prepare(&format!(
        "SELECT rowid, sealed, {} FROM {table} WHERE sealed IS NOT NULL",
        columns.join(", ")
    ))?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let (id, sealed): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
        let names: Vec<String> = (2..columns.len() + 2)
            .map(|column| row.get(column))
            .collect::<rusqlite::Result<_>>()?;
        let parts: Vec<&str> =
            std::iter::once(table).chain(names.iter().map(String::as_str)).collect();
        match from.open::<serde_json::Value>(&sealed, &Place::new(&parts)) {
            Ok(content) => update.execute((id, to.seal(&content, &Place::new(&parts))?))?,
            Err(_) => continue,
        };
    }
    Ok(())
}
