//! What is asked too often to open the file for it.

use std::collections::BTreeSet;

use launcher_core::names::RoomId;
use launcher_runtime::ports::journal::Intake;
use rusqlite::Connection;

use crate::value;

/// The position and the rooms that were ever encrypted, as they are in the file.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) position: Option<String>,
    pub(crate) encrypted_rooms: BTreeSet<RoomId>,
}

impl Known {
    /// Reads it from the file.
    pub(crate) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let mut statement = connection.prepare("SELECT room FROM encrypted_room")?;
        let rooms = statement.query_map([], |row| Ok(RoomId::new(row.get::<_, String>(0)?)))?;
        Ok(Self {
            position: value::position(connection)?,
            encrypted_rooms: rooms.collect::<Result<_, _>>()?,
        })
    }

    /// Keeps up with what was written into the file.
    pub(crate) fn learn(&mut self, batch: Intake) {
        if batch.position.is_some() {
            self.position = batch.position;
        }
        self.encrypted_rooms.extend(batch.encrypted_rooms);
    }
}

/// Notes in the file that a room is encrypted.
pub(crate) fn note_encrypted(connection: &Connection, room: &RoomId) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO encrypted_room (room) VALUES (?1)")?
        .execute([room.as_str()])
        .map(drop)
}
