//! The table `value`: what there is one of.

use launcher_core::claim::Claims;
use rusqlite::{Connection, OptionalExtension};

use crate::{
    seal::{Place, Sealer},
    trouble::Trouble,
};

/// What is sealed to find out whether a key is the right one.
const CHECK: &str = "launcher journal";

/// Writes the row, sealed with the key that the file keeps from now on.
pub(crate) fn write_first(connection: &Connection, sealer: &Sealer) -> Result<(), Trouble> {
    let check = sealer.seal(&CHECK, &check_place())?;
    connection.execute(
        "INSERT INTO value (id, key_check, generation, in_use, sent_since)
         VALUES (1, ?1, 0, 0, (unixepoch() + 3600) * 1000)",
        [check],
    )?;
    Ok(())
}

/// Checks that the key is the one the file was made with.
pub(crate) fn check_key(connection: &Connection, sealer: &Sealer) -> Result<(), Trouble> {
    let check: Option<Vec<u8>> =
        connection.query_row("SELECT key_check FROM value", [], |row| row.get(0)).optional()?;
    let Some(check) = check else {
        return Err(Trouble::Damaged("it does not say under which key it is sealed".to_owned()));
    };
    match sealer.open::<String>(&check, &check_place()) {
        Ok(check) if check == CHECK => Ok(()),
        _ => Err(Trouble::KeyWrong),
    }
}

/// Counts the generation and marks the file as in use; returns the generation
/// and whether the file was in use before.
pub(crate) fn begin(connection: &Connection) -> rusqlite::Result<(u64, bool)> {
    let was_in_use = connection.query_row("SELECT in_use FROM value", [], |row| row.get(0))?;
    let generation: i64 = connection.query_row(
        "UPDATE value SET generation = generation + 1, in_use = 1 RETURNING generation",
        [],
        |row| row.get(0),
    )?;
    Ok((u64::try_from(generation).unwrap_or_default(), was_in_use))
}

/// Takes the mark off again.
pub(crate) fn end(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("UPDATE value SET in_use = 0", []).map(drop)
}

pub(crate) fn position(connection: &Connection) -> rusqlite::Result<Option<String>> {
    connection.query_row("SELECT position FROM value", [], |row| row.get(0))
}

/// What is known of the agent's lives.
pub(crate) fn claims(connection: &Connection) -> Result<Claims, Trouble> {
    let json: String = connection.query_row("SELECT claims FROM value", [], |row| row.get(0))?;
    serde_json::from_str(&json)
        .map_err(|_| Trouble::Damaged("it does not say which lives it knows".to_owned()))
}

pub(crate) fn set_claims(connection: &Connection, claims: &Claims) -> Result<(), Trouble> {
    let json =
        serde_json::to_string(claims).map_err(|error| Trouble::Damaged(error.to_string()))?;
    connection.execute("UPDATE value SET claims = ?1", [json])?;
    Ok(())
}

/// Seals the check of the key anew.
pub(crate) fn reseal(connection: &Connection, to: &Sealer) -> Result<(), Trouble> {
    let check = to.seal(&CHECK, &check_place())?;
    connection.execute("UPDATE value SET key_check = ?1", [check])?;
    Ok(())
}

pub(crate) fn set_position(connection: &Connection, position: &str) -> rusqlite::Result<()> {
    connection.prepare_cached("UPDATE value SET position = ?1")?.execute([position]).map(drop)
}

fn check_place() -> Place<'static> {
    Place::new(&["value", "key_check"])
}
