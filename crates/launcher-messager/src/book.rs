//! What the server says of rooms: their mode and who is in them.
//!
//! It is asked anew for everything that is sent. What it said a short while ago
//! is good enough to describe a message that has arrived.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    client::{Client, ClientError, MemberState, Mode},
    crypto::{AccountId, RoomId},
};

/// How long what is known of a room describes its messages. Changes are told
/// by rows; this is for those that are not.
const RECENT: Duration = Duration::from_secs(60);

/// Rooms that are remembered at most.
const MOST: usize = 10_000;

/// A room, as the server described it.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) mode: Mode,
    /// Who is in it.
    pub(crate) active: BTreeSet<AccountId>,
    /// How many are invited.
    pub(crate) invited: usize,
    at: Instant,
}

/// What was said of rooms.
#[derive(Debug, Default)]
pub(crate) struct Book {
    rooms: Mutex<BTreeMap<RoomId, Known>>,
}

impl Book {
    /// Asks the server.
    ///
    /// # Errors
    ///
    /// Refused with 404 if there is no such room, with 403 if this account is
    /// not in it.
    pub(crate) async fn ask(&self, client: &Client, room: RoomId) -> Result<Known, ClientError> {
        let (found, members) = tokio::try_join!(client.room(room), client.members(room))?;
        let found = found.ok_or_else(|| ClientError::Refused {
            status: 404,
            code: None,
            detail: "there is no such room".to_owned(),
        })?;
        let of = |state| members.iter().filter(move |member| member.state == state);
        let active = of(MemberState::Active).map(|member| member.account).collect();
        let invited = of(MemberState::Invited).count();
        let known = Known { mode: found.mode, active, invited, at: Instant::now() };
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        if rooms.len() >= MOST && !rooms.contains_key(&room) {
            rooms.pop_first();
        }
        rooms.insert(room, known.clone());
        Ok(known)
    }

    /// What was said a short while ago; otherwise the server is asked.
    ///
    /// # Errors
    ///
    /// As [`Book::ask`].
    pub(crate) async fn recall(&self, client: &Client, room: RoomId) -> Result<Known, ClientError> {
        let known = self.rooms.lock().unwrap_or_else(PoisonError::into_inner).get(&room).cloned();
        match known.filter(|known| known.at.elapsed() < RECENT) {
            Some(known) => Ok(known),
            None => self.ask(client, room).await,
        }
    }

    /// Something about the room has changed.
    pub(crate) fn forget(&self, room: RoomId) {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner).remove(&room);
    }
}
