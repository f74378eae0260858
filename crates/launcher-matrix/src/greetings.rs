//! The direct chats that operators wanted, as they are in the journal.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use launcher_core::{
    fault::Fault,
    greeting::Greeting,
    names::{RoomId, UserId},
};
use launcher_runtime::ports::journal::Journal;
use tokio::sync::Mutex;

/// One agent's direct chats.
pub(crate) struct Greetings {
    journal: Arc<dyn Journal>,
    all: Mutex<BTreeMap<UserId, Greeting>>,
    /// Held by whoever makes a chat.
    pub(crate) making: Mutex<()>,
}

impl Greetings {
    /// Takes them up as they are in the journal.
    pub(crate) async fn load(journal: Arc<dyn Journal>) -> Result<Self, Fault> {
        let all = journal.greetings().await?;
        let all = all.into_iter().map(|greeting| (greeting.user.clone(), greeting)).collect();
        Ok(Self { journal, all: Mutex::new(all), making: Mutex::default() })
    }

    /// The one with a user.
    pub(crate) async fn of(&self, user: &UserId) -> Option<Greeting> {
        self.all.lock().await.get(user).cloned()
    }

    /// Those in which something may be left to say, and that are in one of these
    /// rooms or with one of these users; all of them, if `all`.
    pub(crate) async fn open(
        &self,
        rooms: &BTreeSet<RoomId>,
        users: &BTreeSet<UserId>,
        all: bool,
    ) -> Vec<Greeting> {
        let is_meant = |greeting: &&Greeting| {
            let in_room = greeting.room.as_ref().is_some_and(|room| rooms.contains(room));
            !greeting.settled && (all || in_room || users.contains(&greeting.user))
        };
        self.all.lock().await.values().filter(is_meant).cloned().collect()
    }

    /// Changes the one with a user, in the journal first; returns it.
    pub(crate) async fn change(
        &self,
        new: Greeting,
        change: impl FnOnce(&mut Greeting),
    ) -> Result<Greeting, Fault> {
        let mut all = self.all.lock().await;
        let before = all.get(&new.user);
        let mut greeting = before.cloned().unwrap_or(new);
        change(&mut greeting);
        if before != Some(&greeting) {
            self.journal.keep_greeting(&greeting).await?;
            all.insert(greeting.user.clone(), greeting.clone());
        }
        Ok(greeting)
    }
}
