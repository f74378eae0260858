//! What was said in a room, as it is kept.
//!
//! One record holds a room with all its threads: a message that is taken back
//! does not say in which thread it was.

use std::collections::BTreeMap;

use launcher_core::{
    llm::history::History,
    names::{EventId, RoomId, UserId},
};
use launcher_runtime::ports::{BehaviorFault, Memory, Stage};
use serde::{Deserialize, Serialize};
use tracing::warn;

/// How many conversations of a room are kept. The one in which least was said
/// of late goes first.
const THREADS: usize = 50;

/// What stands for the room itself among its threads.
const ROOM: &str = "";

/// The version of the record.
const VERSION: u32 = 2;

/// What is remembered of a room.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Room {
    #[serde(rename = "v")]
    version: u32,
    threads: BTreeMap<String, History>,
}

impl Room {
    /// What is remembered of `room`. What cannot be read is nothing.
    pub(super) async fn recall(stage: &dyn Stage, room: &RoomId) -> Result<Self, BehaviorFault> {
        Ok(Self::read(stage.recall(&key(room)).await?.as_deref(), room))
    }

    /// The room in a record.
    pub(super) fn read(kept: Option<&[u8]>, room: &RoomId) -> Self {
        let Some(kept) = kept else { return Self::default() };
        match serde_json::from_slice::<Self>(kept) {
            Ok(known) if known.version == VERSION => known,
            _ => {
                warn!(%room, "what was said in a room was kept by another version; it is forgotten");
                Self::default()
            }
        }
    }

    /// The record, for the journal.
    pub(super) fn memory(&mut self, room: &RoomId) -> Result<Memory, BehaviorFault> {
        self.threads.retain(|_, history| !history.is_empty());
        while self.threads.len() > THREADS {
            let oldest = self.threads.iter().min_by_key(|(_, history)| history.last());
            let Some(name) = oldest.map(|(name, _)| name.clone()) else { break };
            self.threads.remove(&name);
        }
        self.version = VERSION;
        let value = match self.threads.is_empty() {
            true => None,
            false => Some(serde_json::to_vec(self).map_err(|_| {
                BehaviorFault::new("what was said in a room cannot be written down")
            })?),
        };
        Ok(Memory { key: key(room), value })
    }

    /// What was said in a thread, or in the room outside of threads.
    pub(super) fn history(&mut self, thread: Option<&EventId>) -> &mut History {
        self.threads.entry(name(thread)).or_default()
    }

    /// Forgets a thread, or the room outside of threads; says whether there was
    /// anything.
    pub(super) fn remove(&mut self, thread: Option<&EventId>) -> bool {
        self.threads.remove(&name(thread)).is_some_and(|history| !history.is_empty())
    }

    /// Forgets everything; says whether there was anything.
    pub(super) fn clear(&mut self) -> bool {
        let there_was = !self.is_empty();
        self.threads.clear();
        there_was
    }

    /// Forgets what was said before this second; says whether there was
    /// anything.
    pub(super) fn expire(&mut self, oldest: u64) -> bool {
        self.threads.values_mut().fold(false, |was, history| history.expire(oldest) | was)
    }

    /// Whether nothing is remembered.
    pub(super) fn is_empty(&self) -> bool {
        self.threads.values().all(History::is_empty)
    }

    /// Whether a message is remembered or in a summary, and is of this user.
    pub(super) fn is_by(&self, event: &EventId, user: &UserId) -> bool {
        self.threads.values().any(|history| history.author(event) == Some(user))
    }

    /// See [`History::answered`].
    pub(super) fn answered(&mut self, asked: &EventId, event: &EventId) -> bool {
        self.threads.values_mut().any(|history| history.answered(asked, event))
    }

    /// See [`History::edit`].
    pub(super) fn edit(&mut self, event: &EventId, text: &str) -> bool {
        self.threads.values_mut().any(|history| history.edit(event, text))
    }

    /// See [`History::redact`].
    pub(super) fn redact(&mut self, event: &EventId) -> bool {
        self.threads.values_mut().any(|history| history.redact(event))
    }
}

/// Where a room's record is.
pub(super) fn key(room: &RoomId) -> String {
    format!("llm/room/{room}")
}

fn name(thread: Option<&EventId>) -> String {
    thread.map_or(ROOM, EventId::as_str).to_owned()
}
