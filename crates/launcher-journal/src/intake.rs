//! What arrived, into the tables.

use launcher_core::names::EventId;
use launcher_runtime::ports::journal::{Duplicate, Heard, Intake, Stamp};
use rusqlite::Connection;

use crate::{
    inbox, known, megolm, question, seal::Sealer, sent, trouble::Trouble, undecryptable, value,
};

/// Takes in a whole batch; the caller makes a transaction of it.
pub(crate) fn take_in(
    connection: &Connection,
    sealer: &Sealer,
    batch: &Intake,
    now: Stamp,
) -> Result<Vec<(EventId, Duplicate)>, Trouble> {
    // First of all: the same event may be locked anew in this very batch.
    for event in &batch.unlocked {
        undecryptable::remove(connection, event)?;
    }
    for (locked, json) in &batch.locked {
        if !inbox::contains(connection, &locked.event)? {
            undecryptable::keep(connection, sealer, locked, json)?;
        }
    }
    if !batch.locked.is_empty() {
        undecryptable::bound(connection)?;
    }
    let mut refused = Vec::new();
    for heard in &batch.heard {
        if let Some(duplicate) = hear(connection, sealer, heard, now)? {
            refused.push((heard.message.event.clone(), duplicate));
        }
    }
    for room in &batch.encrypted_rooms {
        known::note_encrypted(connection, room)?;
    }
    if let Some(position) = &batch.position {
        if let Some(before) = value::position(connection)?.filter(|before| before != position) {
            sent::pass(connection, &before)?;
        }
        value::set_position(connection, position)?;
    }
    Ok(refused)
}

fn hear(
    connection: &Connection,
    sealer: &Sealer,
    heard: &Heard,
    now: Stamp,
) -> Result<Option<Duplicate>, Trouble> {
    let message = &heard.message;
    undecryptable::remove(connection, &message.event)?;
    if inbox::contains(connection, &message.event)? {
        return Ok(Some(Duplicate::SameEvent));
    }
    if let Some(ciphertext) = &heard.ciphertext {
        let duplicate = megolm::note(connection, &message.room, &message.sender, ciphertext)?;
        if duplicate.is_some() {
            return Ok(duplicate);
        }
    }
    if let Some(verdict) = &heard.verdict {
        question::decide(connection, sealer, verdict)?;
    }
    if heard.wanted {
        inbox::push(connection, sealer, message, now)?;
    }
    Ok(None)
}
