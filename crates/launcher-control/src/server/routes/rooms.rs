//! What can be asked about an agent's rooms and invitations.

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use launcher_core::names::{RoomId, UserId};

use super::{Answer, Body, Done, No, agent, not_taken, read};
use crate::{
    desk::Desk,
    server::asker,
    wire::{
        DirectReply, DirectRequest, InviteRequest, InvitesReply, LeaveRequest, MadeRoomReply,
        RoomRequest, RoomsReply,
    },
};

/// The longest greeting that is taken, in bytes: an event may have 65,536, and
/// encryption adds a third.
const LONGEST_GREETING: usize = 8 * 1024;

/// Those below `/v1/agents/{id}`.
pub(super) fn routes() -> Router<Desk> {
    Router::new()
        .route("/invites", get(invites).post(answer_invite))
        .route("/rooms", get(rooms).post(make_room))
        .route("/rooms/leave", post(leave))
        .route("/direct", post(direct))
}

async fn invites(State(desk): State<Desk>, Path(id): Path<String>) -> Answer<InvitesReply> {
    let invites = desk.invitations(&agent(&id)?).await?;
    Ok(Json(InvitesReply { invites: invites.into_iter().map(Into::into).collect() }))
}

async fn answer_invite(
    State(desk): State<Desk>,
    Path(id): Path<String>,
    body: Body<InviteRequest>,
) -> Done {
    let request = read(body)?;
    let room = room(&request.room_id)?;
    desk.answer_invitation(&agent(&id)?, request.action, &room).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn rooms(State(desk): State<Desk>, Path(id): Path<String>) -> Answer<RoomsReply> {
    let rooms = desk.joined_rooms(&agent(&id)?).await?;
    Ok(Json(RoomsReply { rooms: rooms.into_iter().map(Into::into).collect() }))
}

async fn make_room(
    State(desk): State<Desk>,
    Path(id): Path<String>,
    body: Body<RoomRequest>,
) -> Answer<MadeRoomReply> {
    let request = read(body)?;
    request.invite.iter().try_for_each(|invited| user(invited).map(drop))?;
    if request.name.trim().is_empty() {
        return Err(not_taken(StatusCode::UNPROCESSABLE_ENTITY));
    }
    Ok(Json(desk.make_room(&agent(&id)?, &request.into()).await?.into()))
}

async fn leave(State(desk): State<Desk>, Path(id): Path<String>, body: Body<LeaveRequest>) -> Done {
    let request = read(body)?;
    desk.leave_room(&agent(&id)?, &room(&request.room_id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn direct(
    State(desk): State<Desk>,
    Path(id): Path<String>,
    body: Body<DirectRequest>,
) -> Answer<DirectReply> {
    let request = read(body)?;
    let (agent, user) = (agent(&id)?, user(&request.user_id)?);
    let greeting = request.greeting.as_deref();
    if greeting.is_some_and(|text| text.trim().is_empty() || text.len() > LONGEST_GREETING) {
        return Err(not_taken(StatusCode::UNPROCESSABLE_ENTITY));
    }
    let direct = match request.look {
        true => {
            asker::only_looks();
            desk.direct(&agent, &user).await?
        }
        false => desk.open_direct(&agent, &user, greeting).await?,
    };
    Ok(Json(direct.into()))
}

fn user(user: &UserId) -> Result<UserId, No> {
    UserId::typed(user.as_str()).ok_or_else(|| not_taken(StatusCode::UNPROCESSABLE_ENTITY))
}

fn room(room: &RoomId) -> Result<RoomId, No> {
    RoomId::typed(room.as_str()).ok_or_else(|| not_taken(StatusCode::UNPROCESSABLE_ENTITY))
}
