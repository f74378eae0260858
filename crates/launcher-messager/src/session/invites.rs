//! Invitations: which are accepted, and which wait for an operator.

use std::{collections::BTreeMap, time::Duration};

use launcher_core::{
    backoff,
    fault::Fault,
    invite::{self, Invited},
    names::RoomId as Room,
};
use launcher_runtime::{
    ports::{
        journal::{Pending, Stamp},
        rooms::Invitation,
    },
    stamp,
};
use tracing::{info, warn};

use super::{MessagerSession, Reading, locked};
use crate::{
    client::{ClientError, Invite, RoomKind},
    names,
};

/// How often an acceptance that failed is tried, at most.
const TRIES: u32 = 10;

/// How long a list that cannot be read is left alone: anybody can make it too
/// long, and then it is read to where it is.
const UNREAD: Duration = Duration::from_secs(60);

/// What an agent knows of the invitations that wait.
#[derive(Debug, Default)]
pub(super) struct Invites {
    /// As in the journal; `None` before the first look of this life.
    kept: Option<BTreeMap<Room, Pending>>,
    failed: BTreeMap<Room, Failed>,
    /// When a list that could not be read is asked for again.
    unread: Option<Stamp>,
}

/// An acceptance that failed.
#[derive(Debug)]
struct Failed {
    tries: u32,
    next: Stamp,
    trouble: String,
}

impl Invites {
    /// When a failed acceptance is due again.
    pub(super) fn next_try(&self) -> Option<Stamp> {
        let again = |failed: &&Failed| failed.tries < TRIES;
        self.failed.values().filter(again).map(|failed| failed.next).min()
    }

    fn is_due(&self, room: &Room) -> bool {
        let may = |failed: &Failed| failed.tries < TRIES && failed.next <= stamp();
        self.failed.get(room).is_none_or(may)
    }

    fn fail(&mut self, room: &Room, error: &ClientError) -> Duration {
        let tries = self.failed.get(room).map_or(0, |failed| failed.tries);
        let wait = backoff::wait(tries, 0.0, error.retry_after());
        let (next, trouble) = (stamp().plus(wait), error.to_string());
        self.failed.insert(room.clone(), Failed { tries: tries + 1, next, trouble });
        wait
    }
}

impl MessagerSession {
    /// Looks at every invitation that waits: accepts by the policy, keeps and
    /// logs what is refused.
    ///
    /// The list is the server's, so an invitation from right before a kill is
    /// found again. Since when each waits is in the journal.
    pub(super) async fn answer_invitations(&self, reading: &mut Reading) -> Result<(), Fault> {
        let listed = self.parts.client.invites().await.map_err(|error| self.fault(&error))?;
        self.answer_listed(listed, reading).await
    }

    /// The same while rows are read. A list of no use keeps nobody from being
    /// heard: anybody can invite to as much as makes it too long.
    pub(super) async fn look_at_invitations(&self, reading: &mut Reading) -> Result<(), Fault> {
        if reading.invites.unread.is_some_and(|next| stamp() < next) {
            return Ok(());
        }
        let listed = match self.parts.client.invites().await {
            Err(error @ ClientError::Nonsense { .. }) => {
                let next = stamp().plus(UNREAD);
                if reading.invites.unread.replace(next).is_none() {
                    warn!(%error, "the agent's invitations cannot be read");
                }
                return Ok(());
            }
            listed => listed.map_err(|error| self.fault(&error))?,
        };
        reading.invites.unread = None;
        self.answer_listed(listed, reading).await
    }

    async fn answer_listed(&self, listed: Vec<Invite>, reading: &mut Reading) -> Result<(), Fault> {
        let invites = &mut reading.invites;
        let before = match invites.kept.take() {
            Some(kept) => kept,
            None => {
                let kept = self.parts.journal.invitations().await?;
                kept.into_iter().map(|pending| (pending.room.clone(), pending)).collect()
            }
        };
        let (mut waiting, mut kept) = (Vec::new(), BTreeMap::new());
        for invite in listed {
            let room = names::room(invite.room.id);
            let pending = before.get(&room).cloned().unwrap_or_else(|| Pending {
                room: room.clone(),
                first_seen: stamp(),
                refused: None,
            });
            if let Some((invitation, pending)) = self.answer_one(invites, &invite, pending).await? {
                waiting.push(invitation);
                kept.insert(room, pending);
            }
        }
        invites.failed.retain(|room, _| kept.contains_key(room));
        if kept != before {
            let all: Vec<Pending> = kept.values().cloned().collect();
            self.parts.journal.keep_invitations(&all).await?;
        }
        invites.kept = Some(kept);
        waiting.sort_by_key(|invitation| invitation.first_seen);
        *locked(&self.pending) = Some(waiting);
        Ok(())
    }

    /// Notes that the room of an invitation is encrypted, if it is said to be or
    /// was when an operator was shown it. Before it is accepted: once the agent is
    /// in, the server may say something else.
    pub(super) async fn note_invitation(&self, invite: &Invite) -> Result<(), Fault> {
        let (id, room) = (invite.room.id, names::room(invite.room.id));
        let was_shown = |pending: &Vec<Invitation>| {
            pending.iter().any(|shown| shown.room == room && shown.invited.encrypted)
        };
        let was_shown = locked(&self.pending).as_ref().is_some_and(was_shown);
        if was_shown || invite.room.mode.is_encrypted() {
            // A room for two is with who invites to it.
            self.note_encrypted(id, invite.room.mode, invite.by).await?;
        }
        Ok(())
    }

    /// `None` if the agent has joined.
    async fn answer_one(
        &self,
        invites: &mut Invites,
        invite: &Invite,
        mut pending: Pending,
    ) -> Result<Option<(Invitation, Pending)>, Fault> {
        let room = pending.room.clone();
        let invited = Invited {
            inviter: invite.by.map(names::user),
            encrypted: invite.room.mode.is_encrypted(),
            // Who is in a group is told to its members only.
            members: (invite.room.kind == RoomKind::Direct).then_some(1),
        };
        let inviter = invited.inviter.as_ref().map(tracing::field::display);
        let decided = invite::decide(&self.parts.spec.invites, &invited);
        match &decided {
            Ok(()) if invites.is_due(&room) => {
                self.note_invitation(invite).await?;
                match self.parts.client.accept(invite.room.id).await {
                    Ok(()) => {
                        info!(%room, inviter, "joined");
                        self.book.forget(invite.room.id);
                        return Ok(None);
                    }
                    Err(ClientError::Unauthorized) => {
                        return Err(self.fault(&ClientError::Unauthorized));
                    }
                    Err(error) => {
                        let wait = invites.fail(&room, &error);
                        warn!(%room, inviter, %error, retry_in = ?wait, "joining failed");
                    }
                }
            }
            Ok(()) => {}
            Err(reason) => {
                if pending.refused.as_deref() != Some(reason.code()) {
                    warn!(
                        event = "invite_refused",
                        %room,
                        inviter,
                        code = reason.code(),
                        %reason,
                        action = format!("launcher invites {} accept {room}", self.parts.spec.id),
                        "an invitation is not accepted; it waits for an operator"
                    );
                    pending.refused = Some(reason.code().to_owned());
                }
            }
        }
        let failed = invites.failed.get(&room);
        let invitation = Invitation {
            room,
            name: invite.room.name.clone(),
            invited,
            first_seen: pending.first_seen.0,
            reason: decided.err(),
            trouble: failed.map(|failed| failed.trouble.clone()),
            gave_up: failed.is_some_and(|failed| failed.tries >= TRIES),
        };
        Ok(Some((invitation, pending)))
    }
}
