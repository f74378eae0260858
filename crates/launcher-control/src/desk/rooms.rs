//! Rooms and invitations: asked of the session that the agent works with.

use std::sync::Arc;

use launcher_core::{
    agent::AgentId,
    names::{RoomId, UserId},
};
use launcher_runtime::ports::{
    Session,
    rooms::{Direct, Invitation, JoinedRoom, MadeRoom, NewRoom, Rooms},
};

use super::{Denied, Desk, about::About};
use crate::wire::InviteAction;

impl Desk {
    pub(crate) async fn invitations(&self, agent: &AgentId) -> Result<Vec<Invitation>, Denied> {
        let session = self.session(agent)?;
        self.with_session(agent, &session, self.rooms_of(agent, &session)?.invitations()).await
    }

    pub(crate) async fn answer_invitation(
        &self,
        agent: &AgentId,
        action: InviteAction,
        room: &RoomId,
    ) -> Result<(), Denied> {
        let name = match action {
            InviteAction::Accept => "invite_accept",
            InviteAction::Reject => "invite_reject",
        };
        let answered = async {
            let session = self.session(agent)?;
            let rooms = self.rooms_of(agent, &session)?;
            match action {
                InviteAction::Accept => {
                    self.with_session(agent, &session, rooms.accept(room)).await
                }
                InviteAction::Reject => {
                    self.with_session(agent, &session, rooms.reject(room)).await
                }
            }
        };
        About { room: Some(room), ..About::agent(agent) }.noted(name, answered.await)
    }

    pub(crate) async fn joined_rooms(&self, agent: &AgentId) -> Result<Vec<JoinedRoom>, Denied> {
        let session = self.session(agent)?;
        self.with_session(agent, &session, self.rooms_of(agent, &session)?.joined()).await
    }

    pub(crate) async fn leave_room(&self, agent: &AgentId, room: &RoomId) -> Result<(), Denied> {
        let left = async {
            let session = self.session(agent)?;
            self.with_session(agent, &session, self.rooms_of(agent, &session)?.leave(room)).await
        };
        About { room: Some(room), ..About::agent(agent) }.noted("room_leave", left.await)
    }

    pub(crate) async fn make_room(
        &self,
        agent: &AgentId,
        wanted: &NewRoom,
    ) -> Result<MadeRoom, Denied> {
        About::agent(agent).began("room_make");
        let made = async {
            let session = self.session(agent)?;
            self.with_session(agent, &session, self.rooms_of(agent, &session)?.make_room(wanted))
                .await
        };
        let made = made.await;
        let room = made.as_ref().ok().map(|made| made.room.clone());
        About { room: room.as_ref(), ..About::agent(agent) }.noted("room_make", made)
    }

    pub(crate) async fn open_direct(
        &self,
        agent: &AgentId,
        user: &UserId,
        greeting: Option<&str>,
    ) -> Result<Direct, Denied> {
        About { user: Some(user), ..About::agent(agent) }.began("direct_open");
        let opened = async {
            let session = self.session(agent)?;
            let rooms = self.rooms_of(agent, &session)?;
            self.with_session(agent, &session, rooms.open_direct(user, greeting)).await
        };
        let opened = opened.await;
        let room = opened.as_ref().ok().and_then(|direct| direct.room.clone());
        About { room: room.as_ref(), user: Some(user), ..About::agent(agent) }
            .noted("direct_open", opened)
    }

    pub(crate) async fn direct(&self, agent: &AgentId, user: &UserId) -> Result<Direct, Denied> {
        let session = self.session(agent)?;
        self.with_session(agent, &session, self.rooms_of(agent, &session)?.direct(user)).await
    }

    fn rooms_of<'a>(
        &self,
        agent: &AgentId,
        session: &'a Arc<dyn Session>,
    ) -> Result<&'a dyn Rooms, Denied> {
        session.rooms().ok_or_else(|| self.denied(agent))
    }
}
