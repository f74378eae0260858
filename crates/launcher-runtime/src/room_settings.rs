//! The settings that were made in rooms, as they are in the journal.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use launcher_core::{
    fault::Fault,
    names::RoomId,
    settings,
    spec::{AgentSpec, AnswerPolicy},
};

use crate::ports::{Memory, journal::Journal};

/// What the keys of these memories start with.
const PREFIX: &str = "settings/";

/// What is set in one room, by name.
type Set = BTreeMap<String, String>;

/// The settings of all rooms of one agent.
#[derive(Debug, Default)]
pub(crate) struct RoomSettings(Mutex<BTreeMap<RoomId, Set>>);

impl RoomSettings {
    /// What is in the journal. What cannot be read there holds no longer.
    pub(crate) async fn load(journal: &dyn Journal) -> Result<Self, Fault> {
        let mut rooms = BTreeMap::new();
        for Memory { key, value } in journal.recall_all(PREFIX).await? {
            let room = key.strip_prefix(PREFIX).unwrap_or_default();
            let set = value.and_then(|value| serde_json::from_slice(&value).ok());
            rooms.insert(RoomId::new(room), set.unwrap_or_default());
        }
        Ok(Self(Mutex::new(rooms)))
    }

    fn rooms(&self) -> MutexGuard<'_, BTreeMap<RoomId, Set>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was set in a room by its people.
    pub(crate) fn set_in(&self, room: &RoomId) -> Set {
        self.rooms().get(room).cloned().unwrap_or_default()
    }

    /// What is set in a room, by its people or by the agent's file.
    pub(crate) fn in_room(&self, spec: &AgentSpec, room: &RoomId) -> Set {
        settings::in_room(spec, room, &self.set_in(room))
    }

    /// When is answered in a room.
    pub(crate) fn policy(&self, spec: &AgentSpec, room: &RoomId) -> AnswerPolicy {
        settings::policy(spec, room, &self.set_in(room))
    }

    /// Changes a setting; what is returned is to be remembered.
    pub(crate) fn set(&self, room: &RoomId, name: &str, value: Option<&str>) -> Memory {
        let mut rooms = self.rooms();
        let set = rooms.entry(room.clone()).or_default();
        match value {
            Some(value) => set.insert(name.to_owned(), value.to_owned()),
            None => set.remove(name),
        };
        // Text by text: that cannot fail.
        let value = serde_json::to_vec(set).ok().filter(|_| !set.is_empty());
        Memory { key: format!("{PREFIX}{room}"), value }
    }
}
