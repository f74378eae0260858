//! In which rooms something is remembered, and forgetting it there in time, also
//! where nothing is said any more.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex as Light, PoisonError},
    time::Duration,
};

use launcher_core::names::RoomId;
use launcher_runtime::ports::{BehaviorFault, Initiative, Memory, Stage};
use serde::{Deserialize, Serialize};
use tokio::{sync::Mutex, time::Instant};

use super::memory::{self, Room};

/// Where it is remembered. No room has this name.
const KEY: &str = "llm/rooms";

/// For how long a room is left alone in which a message was worked on: what is
/// remembered of it is written down afterwards, by somebody else.
pub(super) const REST: Duration = Duration::from_secs(600);

/// The rooms of an agent.
#[derive(Debug)]
pub(super) struct Rooms {
    /// Nothing until they were first looked at. Held while something is written
    /// down, and while it is looked whether something is too old.
    known: Mutex<Option<Names>>,
    busy: Light<BTreeMap<RoomId, Busy>>,
    rest: Duration,
}

/// A room can be here of which nothing is remembered, but not the other way round.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Names(BTreeSet<RoomId>);

#[derive(Debug)]
struct Busy {
    /// How many messages are worked on.
    count: usize,
    /// When that was last said.
    since: Instant,
}

/// As long as this is there, nobody else changes what is remembered of a room.
#[derive(Debug)]
pub(super) struct Working<'a> {
    rooms: &'a Rooms,
    room: RoomId,
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.rooms.mark(&self.room, |count| count.saturating_sub(1));
    }
}

impl Rooms {
    /// Nothing is known yet. `rest`: see [`REST`].
    pub(super) fn new(rest: Duration) -> Self {
        Self { known: Mutex::new(None), busy: Light::default(), rest }
    }

    /// Waits until nobody looks at what is remembered of a room, and keeps them
    /// away from it.
    pub(super) async fn enter(&self, room: &RoomId) -> Working<'_> {
        let _known = self.known.lock().await;
        self.mark(room, |count| count.saturating_add(1));
        Working { rooms: self, room: room.clone() }
    }

    /// Notes that something is about to be remembered of a room.
    pub(super) async fn add(&self, stage: &dyn Stage, room: &RoomId) -> Result<(), BehaviorFault> {
        let mut known = self.known.lock().await;
        let mut names = match &*known {
            Some(names) => names.clone(),
            None => Names::of(stage.recall(KEY).await?),
        };
        if names.0.insert(room.clone()) {
            stage.remember(vec![names.memory()?]).await?;
        }
        *known = Some(names);
        Ok(())
    }

    /// Forgets what was said before this second, everywhere. It is not looked at
    /// rooms in which something is going on: there it is done then.
    ///
    /// # Cancel safety
    ///
    /// Each room is done or not.
    pub(super) async fn expire(
        &self,
        initiative: &dyn Initiative,
        oldest: u64,
    ) -> Result<(), BehaviorFault> {
        let names = Names::of(initiative.recall(KEY).await?);
        for room in names.0 {
            self.expire_one(initiative, &room, oldest).await?;
        }
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.retain(|_, busy| busy.is_at_work(self.rest));
        Ok(())
    }

    async fn expire_one(
        &self,
        initiative: &dyn Initiative,
        room: &RoomId,
        oldest: u64,
    ) -> Result<(), BehaviorFault> {
        let mut known = self.known.lock().await;
        if self.is_busy(room) {
            return Ok(());
        }
        let kept = initiative.recall(&memory::key(room)).await?;
        let mut kept = Room::read(kept.as_deref(), room);
        if !kept.expire(oldest) && !kept.is_empty() {
            return Ok(());
        }
        let mut memories = vec![kept.memory(room)?];
        if kept.is_empty() {
            // Others may have been added since.
            let mut names = Names::of(initiative.recall(KEY).await?);
            names.0.remove(room);
            memories.push(names.memory()?);
            // Read again by the next one who wants to know.
            *known = None;
        }
        initiative.remember(memories).await
    }

    fn is_busy(&self, room: &RoomId) -> bool {
        let busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.get(room).is_some_and(|busy| busy.is_at_work(self.rest))
    }

    fn mark(&self, room: &RoomId, change: impl FnOnce(usize) -> usize) {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let count = busy.get(room).map_or(0, |busy| busy.count);
        busy.insert(room.clone(), Busy { count: change(count), since: Instant::now() });
    }
}

impl Busy {
    fn is_at_work(&self, rest: Duration) -> bool {
        self.count > 0 || self.since.elapsed() < rest
    }
}

impl Names {
    /// A record that cannot be read is of another version. The rooms in it are
    /// known again when something is said there.
    fn of(kept: Option<Vec<u8>>) -> Self {
        kept.and_then(|kept| serde_json::from_slice(&kept).ok()).unwrap_or_default()
    }

    fn memory(&self) -> Result<Memory, BehaviorFault> {
        let value = match self.0.is_empty() {
            true => None,
            false => Some(serde_json::to_vec(self).map_err(|_| {
                BehaviorFault::new("the rooms of conversations cannot be written down")
            })?),
        };
        Ok(Memory { key: KEY.to_owned(), value })
    }
}
