//! The tables `invitation` and `greeting`.

use launcher_core::{greeting::Greeting, names::RoomId};
use launcher_runtime::ports::journal::Pending;
use rusqlite::{Connection, params};

use crate::{
    seal::{Place, Sealer},
    stamps,
    trouble::Trouble,
};

/// The invitations that were kept, by room.
pub(crate) fn invitations(connection: &Connection) -> rusqlite::Result<Vec<Pending>> {
    let mut find = connection
        .prepare_cached("SELECT room, first_seen, refused FROM invitation ORDER BY room")?;
    let rows = find.query_map([], |row| {
        Ok(Pending {
            room: RoomId::new(row.get::<_, String>(0)?),
            first_seen: stamps::from_column(row.get(1)?),
            refused: row.get(2)?,
        })
    })?;
    rows.collect()
}

/// Keeps these and no others; the caller makes a transaction of it.
pub(crate) fn keep_invitations(
    connection: &Connection,
    pending: &[Pending],
) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM invitation", [])?;
    let mut keep = connection.prepare_cached(
        "INSERT OR REPLACE INTO invitation (room, first_seen, refused) VALUES (?1, ?2, ?3)",
    )?;
    for Pending { room, first_seen, refused } in pending {
        keep.execute(params![room.as_str(), stamps::to_column(*first_seen), refused])?;
    }
    Ok(())
}

/// Every direct chat that an operator wanted, by user.
pub(crate) fn greetings(
    connection: &Connection,
    sealer: &Sealer,
) -> Result<Vec<Greeting>, Trouble> {
    let mut find = connection.prepare_cached("SELECT user, sealed FROM greeting ORDER BY user")?;
    let rows =
        find.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
    let mut found = Vec::new();
    for row in rows {
        let (user, sealed) = row?;
        // One that does not open is lost; a chat that is there is found without it.
        match sealer.open(&sealed, &Place::new(&["greeting", &user])) {
            Ok(greeting) => found.push(greeting),
            Err(_) => tracing::warn!(user, "what is known of a direct chat does not open"),
        }
    }
    Ok(found)
}

/// Replaces what is known of one of them.
pub(crate) fn keep_greeting(
    connection: &Connection,
    sealer: &Sealer,
    greeting: &Greeting,
) -> Result<(), Trouble> {
    let user = greeting.user.as_str();
    let sealed = sealer.seal(greeting, &Place::new(&["greeting", user]))?;
    connection
        .prepare_cached(
            "INSERT INTO greeting (user, sealed) VALUES (?1, ?2)
             ON CONFLICT (user) DO UPDATE SET sealed = excluded.sealed",
        )?
        .execute(params![user, sealed])?;
    Ok(())
}
