//! Joining rooms and leaving them.

use std::collections::{BTreeMap, BTreeSet};

use launcher_core::{invite, names::UserId, spec::AgentSpec};
use matrix_sdk::{
    Client, Room, RoomState,
    ruma::{OwnedRoomId, RoomId},
};
use tokio::time::Instant;
use tracing::{info, warn};

/// How often a join that failed is tried, at most: another server may be away
/// for a while, or the room may be gone for good.
const TRIES: u32 = 10;

/// What an agent remembers of its invites while it runs.
#[derive(Debug, Default)]
pub(crate) struct Invites {
    refused: BTreeSet<OwnedRoomId>,
    failed: BTreeMap<OwnedRoomId, (u32, Instant)>,
}

impl Invites {
    /// Looks at every pending invite: joins by policy, logs what is refused.
    ///
    /// The list comes from the store, so an invite that arrived just before a
    /// kill is found again.
    pub(crate) async fn answer(&mut self, client: &Client, spec: &AgentSpec) {
        let rooms = client.invited_rooms();
        let pending: BTreeSet<&RoomId> = rooms.iter().map(|room| room.room_id()).collect();
        self.refused.retain(|room| pending.contains(&**room));
        self.failed.retain(|room, _| pending.contains(&**room));
        for room in &rooms {
            self.answer_one(room, spec).await;
        }
    }

    /// When a failed join is due again.
    pub(crate) fn next_try(&self) -> Option<Instant> {
        self.failed.values().filter(|(tries, _)| *tries < TRIES).map(|(_, at)| *at).min()
    }

    async fn answer_one(&mut self, room: &Room, spec: &AgentSpec) {
        let id = room.room_id();
        if self.refused.contains(id) {
            return;
        }
        let tries = match self.failed.get(id) {
            Some((tries, at)) if *tries >= TRIES || *at > Instant::now() => return,
            Some((tries, _)) => *tries,
            None => 0,
        };
        let inviter = match room.invite_details().await {
            Ok(invite) => UserId::new(invite.inviter_id.as_str()),
            Err(error) => {
                warn!(room = %id, %error, "an invite does not say who it is from; ignored");
                self.refused.insert(id.to_owned());
                return;
            }
        };
        if !invite::accepts(&spec.invites, &inviter) {
            warn!(event = "invite_refused", room = %id, %inviter, "invites.from does not name the inviter");
            self.refused.insert(id.to_owned());
            return;
        }
        match room.join().await {
            Ok(()) => {
                info!(room = %id, %inviter, "joined");
                self.failed.remove(id);
            }
            Err(error) => {
                let wait = launcher_core::backoff::wait(tries, 0.0, None);
                warn!(room = %id, %inviter, %error, retry_in = ?wait, "joining failed");
                self.failed.insert(id.to_owned(), (tries + 1, Instant::now() + wait));
            }
        }
    }
}

/// Leaves a room if nobody else is in it or invited to it.
pub(crate) async fn leave_if_alone(client: &Client, id: &RoomId) {
    let Some(room) = client.get_room(id) else { return };
    if room.state() != RoomState::Joined || room.active_members_count() > 1 {
        return;
    }
    match room.leave().await {
        Ok(()) => info!(room = %id, "left: everyone else has gone"),
        Err(error) => warn!(room = %id, %error, "leaving an empty room failed"),
    }
}
