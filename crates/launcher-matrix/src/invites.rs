//! Invitations: which are accepted, and which wait for an operator.

use std::collections::{BTreeMap, BTreeSet};

use launcher_core::{
    fault::Fault,
    invite::{self, Invited},
    names::{RoomId as Room, UserId},
    spec::AgentSpec,
};
use launcher_runtime::{
    ports::{
        journal::{Journal, Pending},
        rooms::Invitation,
    },
    stamp,
};
use matrix_sdk::{Client, RoomState, ruma::RoomId};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::rest::Rest;

/// How often a join that failed is tried, at most: another server may be away
/// for a while, or the room may be gone for good.
const TRIES: u32 = 10;

/// How many rooms the server is asked about in one look, only to show an
/// operator how many are in them.
const ASKED_TO_SHOW: usize = 16;

/// What an agent knows of the invitations that wait.
#[derive(Debug, Default)]
pub(crate) struct Invites {
    /// As in the journal; `None` before the first look of this life.
    kept: Option<BTreeMap<Room, Pending>>,
    /// How many are in a room, as the server said once.
    members: BTreeMap<Room, Option<u64>>,
    failed: BTreeMap<Room, Failed>,
}

/// A join that failed.
#[derive(Debug)]
struct Failed {
    tries: u32,
    next: Instant,
    trouble: String,
}

/// What is needed to look at invitations.
pub(crate) struct Desk<'a> {
    pub(crate) client: &'a Client,
    pub(crate) rest: &'a Rest,
    pub(crate) token: &'a str,
    pub(crate) spec: &'a AgentSpec,
    pub(crate) journal: &'a dyn Journal,
}

impl Invites {
    /// Looks at every invitation that waits: joins by policy, keeps and logs what
    /// is refused. Returns what still waits, oldest first.
    ///
    /// The list comes from the SDK's store, so an invitation that arrived just
    /// before a kill is found again. Since when each waits, and what was logged
    /// of it, is in the journal.
    pub(crate) async fn answer(&mut self, desk: &Desk<'_>) -> Result<Vec<Invitation>, Fault> {
        let before = match self.kept.take() {
            Some(kept) => kept,
            None => {
                let kept = desk.journal.invitations().await?;
                kept.into_iter().map(|pending| (pending.room.clone(), pending)).collect()
            }
        };
        let mut waiting = Vec::new();
        let mut kept = BTreeMap::new();
        let mut asked = 0;
        for room in desk.client.invited_rooms() {
            let id = Room::new(room.room_id().as_str());
            let pending = before.get(&id).cloned().unwrap_or_else(|| Pending {
                room: id.clone(),
                first_seen: stamp(),
                refused: None,
            });
            let found = self.answer_one(desk, &room, pending, &mut asked).await;
            let Some((invitation, pending)) = found else { continue };
            waiting.push(invitation);
            kept.insert(id, pending);
        }
        self.members.retain(|room, _| kept.contains_key(room));
        self.failed.retain(|room, _| kept.contains_key(room));
        if kept != before {
            let all: Vec<Pending> = kept.values().cloned().collect();
            desk.journal.keep_invitations(&all).await?;
        }
        self.kept = Some(kept);
        waiting.sort_by_key(|invitation| invitation.first_seen);
        Ok(waiting)
    }

    /// When a failed join is due again.
    pub(crate) fn next_try(&self) -> Option<Instant> {
        let tried_again = |failed: &&Failed| failed.tries < TRIES;
        self.failed.values().filter(tried_again).map(|failed| failed.next).min()
    }

    /// `None` if the agent has joined.
    async fn answer_one(
        &mut self,
        desk: &Desk<'_>,
        room: &matrix_sdk::Room,
        mut pending: Pending,
        asked: &mut usize,
    ) -> Option<(Invitation, Pending)> {
        let id = pending.room.clone();
        let inviter = match room.invite_details().await {
            Ok(invite) => Some(UserId::new(invite.inviter_id.as_str())),
            Err(error) => {
                debug!(room = %id, %error, "an invitation does not say who it is from");
                None
            }
        };
        // The state of encryption counts as known only after the join.
        let encrypted = room.encryption_settings().is_some();
        let mut invited = Invited { inviter, encrypted, members: None };
        if invite::needs_members(&desk.spec.invites, &invited) {
            invited.members = self.members(desk, &id, invited.inviter.as_ref()).await;
        }
        let decided = invite::decide(&desk.spec.invites, &invited);
        let inviter = invited.inviter.as_ref().map(tracing::field::display);
        match &decided {
            Ok(()) if self.is_due(&id) => match room.join().await {
                Ok(()) => {
                    info!(room = %id, inviter, "joined");
                    return None;
                }
                Err(error) => {
                    let tries = self.failed.get(&id).map_or(0, |failed| failed.tries);
                    let wait = launcher_core::backoff::wait(tries, 0.0, None);
                    warn!(room = %id, inviter, %error, retry_in = ?wait, "joining failed");
                    let trouble = error.to_string();
                    let next = Instant::now() + wait;
                    self.failed.insert(id.clone(), Failed { tries: tries + 1, next, trouble });
                }
            },
            Ok(()) => {}
            Err(reason) => {
                if pending.refused.as_deref() != Some(reason.code()) {
                    warn!(
                        event = "invite_refused",
                        room = %id,
                        inviter,
                        code = reason.code(),
                        %reason,
                        action = format!("launcher invites {} accept {id}", desk.spec.id),
                        "an invitation is not accepted; it waits for an operator"
                    );
                    pending.refused = Some(reason.code().to_owned());
                }
                if invited.members.is_none()
                    && (self.members.contains_key(&id) || *asked < ASKED_TO_SHOW)
                {
                    *asked += usize::from(!self.members.contains_key(&id));
                    invited.members = self.members(desk, &id, invited.inviter.as_ref()).await;
                }
            }
        }
        let invitation = Invitation {
            room: id.clone(),
            name: name_of(room),
            invited,
            first_seen: pending.first_seen.0,
            reason: decided.err(),
            trouble: self.failed.get(&id).map(|failed| failed.trouble.clone()),
            gave_up: self.failed.get(&id).is_some_and(|failed| failed.tries >= TRIES),
        };
        Some((invitation, pending))
    }

    fn is_due(&self, room: &Room) -> bool {
        let may = |failed: &Failed| failed.tries < TRIES && failed.next <= Instant::now();
        self.failed.get(room).is_none_or(may)
    }

    /// How many are in the room. What the server has said holds for as long as the
    /// invitation waits in this life.
    async fn members(
        &mut self,
        desk: &Desk<'_>,
        room: &Room,
        inviter: Option<&UserId>,
    ) -> Option<u64> {
        if let Some(members) = self.members.get(room) {
            return *members;
        }
        let via = inviter.and_then(|user| user.as_str().split_once(':')).map_or("", |(_, via)| via);
        match desk.rest.joined_members(desk.token, room.as_str(), via).await {
            Ok(members) => {
                self.members.insert(room.clone(), members);
                members
            }
            Err(error) => {
                // Asked again by the next look.
                debug!(%room, %error, "the server did not say how many are in a room");
                None
            }
        }
    }
}

/// What a room is called, if it says so.
pub(crate) fn name_of(room: &matrix_sdk::Room) -> Option<String> {
    room.name().or_else(|| room.canonical_alias().map(|alias| alias.to_string()))
}

/// Leaves a room if nobody else is in it or invited to it.
pub(crate) async fn leave_if_alone(client: &Client, rest: &Rest, token: &str, id: &RoomId) {
    let Some(room) = client.get_room(id) else { return };
    if room.state() != RoomState::Joined || room.active_members_count() > 1 {
        return;
    }
    match rest.leave(token, id.as_str()).await {
        Ok(()) => info!(room = %id, "left: everyone else has gone"),
        Err(error) => warn!(room = %id, %error, "leaving an empty room failed"),
    }
}

/// The rooms of which there is something new.
pub(crate) fn rooms_of(updates: &[matrix_sdk::sync::RoomUpdates]) -> BTreeSet<Room> {
    let rooms = updates.iter().flat_map(|update| update.joined.keys());
    rooms.map(|room| Room::new(room.as_str())).collect()
}
