//! The table `thread`: threads in which the agent has answered.

use launcher_core::names::{EventId, RoomId};
use launcher_runtime::ports::journal::Stamp;
use rusqlite::{Connection, params};

use crate::stamps;

/// So many threads are remembered; those without recent answers are forgotten.
const REMEMBERED: u32 = 10_000;

/// Notes that the agent answers in a thread.
pub(crate) fn note(
    connection: &Connection,
    room: &RoomId,
    root: &EventId,
    now: Stamp,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO thread (room, root, at) VALUES (?1, ?2, ?3)
             ON CONFLICT (room, root) DO UPDATE SET at = excluded.at",
        )?
        .execute(params![room.as_str(), root.as_str(), stamps::to_column(now)])
        .map(drop)
}

/// Whether the agent has answered in a thread.
pub(crate) fn contains(
    connection: &Connection,
    room: &RoomId,
    root: &EventId,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM thread WHERE room = ?1 AND root = ?2")?
        .exists([room.as_str(), root.as_str()])
}

/// Forgets what is too much.
pub(crate) fn prune(connection: &Connection) -> rusqlite::Result<()> {
    connection
        .execute(
            "DELETE FROM thread WHERE (room, root) IN (
                 SELECT room, root FROM thread ORDER BY at DESC LIMIT -1 OFFSET ?1
             )",
            [REMEMBERED],
        )
        .map(drop)
}
