//! Rooms and invitations of an agent that runs.

use std::future::Future;

use async_trait::async_trait;
use launcher_core::names::{RoomId as Room, UserId};
use launcher_runtime::ports::rooms::{
    Direct, Invitation, JoinedRoom, MadeRoom, NewRoom, Rooms, RoomsError,
};
use tracing::info;

use super::{MessagerSession, locked};
use crate::{
    client::{ClientError, Group, MemberState, Mode, RoomKind},
    crypto::RoomId,
    names,
};

/// What helps if a server says no.
const LATER: &str = "see what it says; repeat the command if that can change";

#[async_trait]
impl Rooms for MessagerSession {
    async fn invitations(&self) -> Result<Vec<Invitation>, RoomsError> {
        self.serve(async {
            if let Some(pending) = locked(&self.pending).clone() {
                return Ok(pending);
            }
            // This life has not looked yet.
            let mut reading = self.reading.lock().await;
            self.answer_invitations(&mut reading).await?;
            Ok(locked(&self.pending).clone().unwrap_or_default())
        })
        .await
    }

    async fn accept(&self, room: &Room) -> Result<(), RoomsError> {
        self.serve(async {
            let id = self.room_id(room)?;
            let invites = self.parts.client.invites().await;
            let invites =
                invites.map_err(|error| self.rooms_error("see its invitations", &error))?;
            if let Some(invite) = invites.iter().find(|invite| invite.room.id == id) {
                self.note_invitation(invite).await?;
            }
            match self.parts.client.accept(id).await {
                Ok(()) => {}
                Err(ClientError::Refused { status: 404, .. }) => {
                    return match self.is_in(id).await? {
                        true => Ok(()),
                        false => Err(self.not_invited(room)),
                    };
                }
                Err(error) => return Err(self.rooms_error(&format!("join {room}"), &error)),
            }
            info!(%room, "joined, as an operator wanted");
            self.forget_pending(room);
            self.stir();
            Ok(())
        })
        .await
    }

    async fn reject(&self, room: &Room) -> Result<(), RoomsError> {
        self.serve(async {
            let id = self.room_id(room)?;
            match self.parts.client.decline(id).await {
                Ok(()) => info!(%room, "declined, as an operator wanted"),
                Err(ClientError::Refused { status: 404, .. }) if self.is_in(id).await? => {
                    return Err(refused(
                        format!("the agent is in {room} already"),
                        format!("`launcher invites {} leave {room}`", self.parts.spec.id),
                    ));
                }
                // Declined before, or taken back.
                Err(ClientError::Refused { status: 404, .. }) => {}
                Err(error) => return Err(self.rooms_error(&format!("decline {room}"), &error)),
            }
            self.forget_pending(room);
            self.stir();
            Ok(())
        })
        .await
    }

    async fn joined(&self) -> Result<Vec<JoinedRoom>, RoomsError> {
        self.serve(async {
            let rooms = self.parts.client.rooms().await;
            let rooms = rooms.map_err(|error| self.rooms_error("list its rooms", &error))?;
            let mut joined = Vec::new();
            for room in rooms {
                let members = self.parts.client.members(room.id).await;
                let members =
                    members.map_err(|error| self.rooms_error("look into a room", &error))?;
                let count = |state: MemberState| {
                    members.iter().filter(|member| member.state == state).count() as u64
                };
                let was_encrypted = self.was_encrypted(room.id).await?;
                joined.push(JoinedRoom {
                    room: names::room(room.id),
                    name: room.name,
                    encrypted: room.mode.is_encrypted() || was_encrypted,
                    joined_members: count(MemberState::Active),
                    invited_members: count(MemberState::Invited),
                    direct: room.kind == RoomKind::Direct,
                });
            }
            joined.sort_by(|one, other| one.room.cmp(&other.room));
            Ok(joined)
        })
        .await
    }

    async fn leave(&self, room: &Room) -> Result<(), RoomsError> {
        self.serve(async {
            let id = self.room_id(room)?;
            match self.parts.client.leave(id).await {
                Ok(()) => info!(%room, "left, as an operator wanted"),
                // Left before.
                Err(ClientError::Refused { status: 404, .. }) => {}
                Err(error) => return Err(self.rooms_error(&format!("leave {room}"), &error)),
            }
            self.book.forget(id);
            Ok(())
        })
        .await
    }

    async fn make_room(&self, wanted: &NewRoom) -> Result<MadeRoom, RoomsError> {
        self.serve(async {
            if wanted.topic.is_some() {
                return Err(refused("rooms have no topic here", "repeat it without a topic"));
            }
            let made = self.parts.client.create_group(&wanted.name, Group::Encrypted).await;
            let id = made.map_err(|error| self.rooms_error("make a room", &error))?.id;
            let room = names::room(id);
            info!(%room, "made a room, as an operator wanted");
            self.note_encrypted(id, Mode::SenderKeys, None).await?;
            let mut made = MadeRoom { room, invited: Vec::new(), not_invited: Vec::new() };
            for user in &wanted.invite {
                let invited = match names::account_of(user) {
                    Some(account) => self.parts.client.invite(id, account).await,
                    None => Err(ClientError::unreachable("it is no account id")),
                };
                match invited {
                    Ok(()) => made.invited.push(user.clone()),
                    Err(error) => made.not_invited.push((user.clone(), error.to_string())),
                }
            }
            Ok(made)
        })
        .await
    }

    async fn open_direct(
        &self,
        user: &UserId,
        greeting: Option<&str>,
    ) -> Result<Direct, RoomsError> {
        self.serve(async { self.open_direct_chat(user, greeting).await }).await
    }

    async fn direct(&self, user: &UserId) -> Result<Direct, RoomsError> {
        self.serve(async { self.direct_chat(user).await }).await
    }
}

impl MessagerSession {
    /// Does what an operator wants, unless the session is being closed.
    async fn serve<T>(
        &self,
        work: impl Future<Output = Result<T, RoomsError>> + Send,
    ) -> Result<T, RoomsError> {
        self.serving.work(work).await.unwrap_or_else(|| {
            Err(refused("the agent is stopping", "repeat the command when it runs again"))
        })
    }

    async fn is_in(&self, room: RoomId) -> Result<bool, RoomsError> {
        match self.parts.client.members(room).await {
            Ok(members) => Ok(members.iter().any(|member| {
                member.account == self.address.account && member.state == MemberState::Active
            })),
            Err(ClientError::Refused { .. }) => Ok(false),
            Err(error) => Err(self.rooms_error("look into a room", &error)),
        }
    }

    fn room_id(&self, room: &Room) -> Result<RoomId, RoomsError> {
        names::room_of(room).ok_or_else(|| {
            refused(
                format!("{room} is no room id"),
                format!("`launcher invites {} rooms` lists the agent's rooms", self.parts.spec.id),
            )
        })
    }

    fn forget_pending(&self, room: &Room) {
        if let Some(pending) = locked(&self.pending).as_mut() {
            pending.retain(|invitation| invitation.room != *room);
        }
    }

    fn not_invited(&self, room: &Room) -> RoomsError {
        refused(
            format!("the agent is not invited to {room}"),
            format!("`launcher invites {}` lists its invitations", self.parts.spec.id),
        )
    }

    /// What an error of the server means for an operator.
    pub(super) fn rooms_error(&self, what: &str, error: &ClientError) -> RoomsError {
        match error {
            ClientError::Refused { .. } => {
                refused(format!("the server does not let the agent {what}: {error}"), LATER)
            }
            ClientError::Unreachable { .. }
            | ClientError::Nonsense { .. }
            | ClientError::Unauthorized => self.fault(error).into(),
        }
    }
}

pub(super) fn refused(reason: impl Into<String>, action: impl Into<String>) -> RoomsError {
    RoomsError::Refused { reason: reason.into(), action: action.into() }
}
