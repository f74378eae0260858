//! Rooms and invitations of an agent that runs.

use std::{future::Future, sync::PoisonError};

use async_trait::async_trait;
use launcher_core::{
    fault::Fault,
    names::{RoomId as Room, UserId},
};
use launcher_runtime::ports::{
    journal::Intake,
    rooms::{Direct, Invitation, JoinedRoom, MadeRoom, NewRoom, Rooms, RoomsError},
};
use matrix_sdk::{RoomState, ruma::RoomId};
use serde_json::{Value, json};
use tracing::info;

use super::{Live, MatrixSession, Reading};
use crate::{
    errors,
    invites::{Desk, name_of},
    rest::RestError,
};

/// The state event that makes a room encrypted.
fn encryption() -> Value {
    json!({
        "type": "m.room.encryption",
        "state_key": "",
        "content": { "algorithm": "m.megolm.v1.aes-sha2" },
    })
}

#[async_trait]
impl Rooms for MatrixSession {
    async fn invitations(&self) -> Result<Vec<Invitation>, RoomsError> {
        self.serve(async {
            if let Some(pending) = self.pending().clone() {
                return Ok(pending);
            }
            // This life has not looked yet.
            let live = self.live().await?;
            let mut reading = self.reading.lock().await;
            Ok(self.answer_invitations(&live, &mut reading).await?)
        })
        .await
    }

    async fn accept(&self, room: &Room) -> Result<(), RoomsError> {
        self.serve(async {
            let live = self.live().await?;
            let found = room_id(room).and_then(|id| live.client.get_room(&id));
            match found {
                Some(found) if found.state() == RoomState::Joined => return Ok(()),
                Some(found) if found.state() == RoomState::Invited => {
                    found.join().await.map_err(|error| self.rooms_error("join", room, &error))?;
                }
                _ => return Err(self.not_invited(room)),
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
            let live = self.live().await?;
            let found = room_id(room).and_then(|id| live.client.get_room(&id));
            match found.map(|found| found.state()) {
                Some(RoomState::Invited) => {}
                Some(RoomState::Left) => return Ok(()),
                Some(RoomState::Joined) => {
                    return Err(refused(
                        format!("the agent is in {room} already"),
                        format!("`launcher invites {} leave {room}`", self.parts.spec.id),
                    ));
                }
                _ => return Err(self.not_invited(room)),
            }
            self.go_away(&live, room).await?;
            self.forget_pending(room);
            self.stir();
            Ok(())
        })
        .await
    }

    async fn joined(&self) -> Result<Vec<JoinedRoom>, RoomsError> {
        self.serve(async {
            let live = self.live().await?;
            let mut rooms = Vec::new();
            for room in live.client.joined_rooms() {
                rooms.push(JoinedRoom {
                    room: Room::new(room.room_id().as_str()),
                    name: name_of(&room),
                    encrypted: room.encryption_settings().is_some(),
                    joined_members: room.joined_members_count(),
                    invited_members: room.invited_members_count(),
                    direct: room.direct_targets_length() > 0,
                });
            }
            rooms.sort_by(|one, other| one.room.cmp(&other.room));
            Ok(rooms)
        })
        .await
    }

    async fn leave(&self, room: &Room) -> Result<(), RoomsError> {
        self.serve(async {
            let live = self.live().await?;
            let found = room_id(room).and_then(|id| live.client.get_room(&id));
            match found.map(|found| found.state()) {
                Some(RoomState::Joined) => self.go_away(&live, room).await,
                Some(RoomState::Left) => Ok(()),
                Some(RoomState::Invited) => Err(refused(
                    format!("the agent is only invited to {room}"),
                    format!("`launcher invites {} reject {room}`", self.parts.spec.id),
                )),
                _ => Err(refused(
                    format!("the agent is not in {room}"),
                    format!("`launcher invites {} rooms` lists its rooms", self.parts.spec.id),
                )),
            }
        })
        .await
    }

    async fn make_room(&self, wanted: &NewRoom) -> Result<MadeRoom, RoomsError> {
        self.serve(async {
            let mut content = json!({
                "preset": "private_chat",
                "name": wanted.name,
                "initial_state": [encryption()],
            });
            if let Some(topic) = &wanted.topic {
                content["topic"] = json!(topic);
            }
            let made = self.parts.rest.create_room(self.token().as_str(), &content).await;
            let room = Room::new(made.map_err(|error| self.rest_error("make a room", error))?);
            info!(%room, "made a room, as an operator wanted");
            // It is there: what fails from here on must not hide it.
            if let Err(error) = self.take_up(&room).await {
                info!(%room, %error, "the next reading finds the room");
            }
            let mut made = MadeRoom { room, invited: Vec::new(), not_invited: Vec::new() };
            for user in &wanted.invite {
                let token = self.token();
                let invited =
                    self.parts.rest.invite(&token, made.room.as_str(), user.as_str(), false);
                match invited.await {
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

impl MatrixSession {
    /// Does what an operator wants, unless the agent lets go before it is done.
    async fn serve<T>(
        &self,
        work: impl Future<Output = Result<T, RoomsError>> + Send,
    ) -> Result<T, RoomsError> {
        self.serving.work(work).await.unwrap_or_else(|| {
            Err(refused("the agent is stopping", "repeat the command when it runs again"))
        })
    }

    /// Joins what the policy lets the agent join; returns what waits.
    pub(super) async fn answer_invitations(
        &self,
        live: &Live,
        reading: &mut Reading,
    ) -> Result<Vec<Invitation>, Fault> {
        let token = self.token();
        let desk = Desk {
            client: &live.client,
            rest: &self.parts.rest,
            token: &token,
            spec: &self.parts.spec,
            journal: &*self.parts.journal,
        };
        let waiting = reading.invites.answer(&desk).await?;
        *self.pending() = Some(waiting.clone());
        Ok(waiting)
    }

    /// Leaves a room or declines an invitation, and has the SDK read of it.
    async fn go_away(&self, live: &Live, room: &Room) -> Result<(), RoomsError> {
        let left = self.parts.rest.leave(&self.token(), room.as_str()).await;
        left.map_err(|error| self.rest_error(&format!("leave {room}"), error))?;
        info!(%room, "left, as an operator wanted");
        let mut reading = self.reading.lock().await;
        Ok(self.sync_now(live, &mut reading).await?)
    }

    /// Has the SDK know a room that was just made, and the journal that it is
    /// encrypted.
    pub(super) async fn take_up(&self, room: &Room) -> Result<(), RoomsError> {
        let encrypted_rooms = vec![room.clone()];
        self.parts.journal.ingest(Intake { encrypted_rooms, ..Intake::default() }).await?;
        let live = self.live().await?;
        let mut reading = self.reading.lock().await;
        Ok(self.sync_now(&live, &mut reading).await?)
    }

    pub(super) fn pending(&self) -> std::sync::MutexGuard<'_, Option<Vec<Invitation>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget_pending(&self, room: &Room) {
        if let Some(pending) = self.pending().as_mut() {
            pending.retain(|invitation| invitation.room != *room);
        }
    }

    pub(super) fn token(&self) -> String {
        self.login().access_token.expose().clone()
    }

    fn not_invited(&self, room: &Room) -> RoomsError {
        refused(
            format!("the agent is not invited to {room}"),
            format!("`launcher invites {}` lists its invitations", self.parts.spec.id),
        )
    }

    /// What an error of the SDK means for an operator.
    pub(super) fn rooms_error(
        &self,
        what: &str,
        room: &Room,
        error: &matrix_sdk::Error,
    ) -> RoomsError {
        match error.client_api_error_kind() {
            // The server's own words, for instance that the room is gone.
            Some(_) if errors::session_fault(&self.parts.spec.account, error).is_none() => refused(
                format!("the homeserver does not let the agent {what} {room}: {error}"),
                LATER,
            ),
            _ => errors::fault(&self.parts.spec.account, error).into(),
        }
    }

    /// What an error of a request by hand means for an operator.
    pub(super) fn rest_error(&self, what: &str, error: RestError) -> RoomsError {
        let detail = error.to_string();
        let is_answer = error.is_answer();
        match self.parts.rest.fault(&self.parts.spec.account, error) {
            Fault::ServerUnavailable { .. } if is_answer => {
                refused(format!("the homeserver does not let the agent {what}: {detail}"), LATER)
            }
            fault => fault.into(),
        }
    }
}

/// What helps if a homeserver says no.
const LATER: &str = "see what it says; repeat the command if that can change";

pub(super) fn refused(reason: impl Into<String>, action: impl Into<String>) -> RoomsError {
    RoomsError::Refused { reason: reason.into(), action: action.into() }
}

/// The id as the SDK has it; `None` if it is none.
pub(super) fn room_id(room: &Room) -> Option<matrix_sdk::ruma::OwnedRoomId> {
    RoomId::parse(room.as_str()).ok()
}
