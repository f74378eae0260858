//! Members and invitations.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::{Login, Query, at::At, body::Body};
use crate::{
    app::App,
    refusal::Refusal,
    store::{
        invites,
        members::{self, Joined},
    },
    values::{AccountId, RoomId},
    wire::{InviteBody, Member, NotifyBody, TimeoutBody},
};

type Answer<T> = Result<Json<T>, Refusal>;
type Shared = State<Arc<App>>;

/// A list, with how long it is as a whole.
pub(super) type Counted<T> = Result<([(&'static str, String); 1], Json<T>), Refusal>;

/// The header that says how long a list is.
pub(super) const TOTAL: &str = "x-total";

/// GET `/{room}/members`.
pub(super) async fn list(
    State(app): Shared,
    login: Option<Login>,
    At(room): At<RoomId>,
    query: Query,
) -> Counted<Vec<Member>> {
    let (reader, page) = (login.map(|login| login.account), query.page()?);
    // What people are doing is not known here, whether it is asked for or not.
    query.flag("withStatus", false)?;
    let read =
        move |connection: &rusqlite::Connection| members::list(connection, room, reader, page);
    let (members, total) = app.store.read(read).await?;
    Ok(([(TOTAL, total.to_string())], Json(members)))
}

/// GET `/{room}/members/online`.
pub(super) async fn online(
    State(app): Shared,
    login: Option<Login>,
    At(room): At<RoomId>,
) -> Answer<usize> {
    let (reader, hub) = (login.map(|login| login.account), app.hub.clone());
    let read =
        move |connection: &rusqlite::Connection| members::online(connection, room, reader, &hub);
    app.store.read(read).await.map(Json)
}

/// GET `/{room}/members/me`.
pub(super) async fn me(State(app): Shared, login: Login, At(room): At<RoomId>) -> Answer<Member> {
    app.store.read(move |connection| members::me(connection, room, login.account)).await.map(Json)
}

/// POST `/{room}/members/me`.
pub(super) async fn join(
    State(app): Shared,
    login: Login,
    At(room): At<RoomId>,
) -> Result<Response, Refusal> {
    app.may_send(login.account)?;
    let joined = app.store.write(move |work| members::join(work, room, login.account)).await?;
    Ok(match joined {
        Joined::First(room) => Json(room).into_response(),
        Joined::Again(member) => Json(member).into_response(),
    })
}

/// DELETE `/{room}/members/me`.
pub(super) async fn leave(
    State(app): Shared,
    login: Login,
    At(room): At<RoomId>,
) -> Result<StatusCode, Refusal> {
    app.may_send(login.account)?;
    app.store.write(move |work| members::leave(work, room, login.account)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// DELETE `/{room}/members/{account}`.
pub(super) async fn kick(
    State(app): Shared,
    login: Login,
    At((room, target)): At<(RoomId, AccountId)>,
) -> Result<StatusCode, Refusal> {
    app.may_send(login.account)?;
    app.store.write(move |work| members::kick(work, room, login.account, target)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// PATCH `/{room}/members/me/notify`.
pub(super) async fn notify(
    State(app): Shared,
    login: Login,
    At(room): At<RoomId>,
    Body(body): Body<NotifyBody>,
) -> Answer<Member> {
    app.store.write(move |work| members::notify(work, room, login.account, &body)).await.map(Json)
}

/// POST `/{room}/members/{account}/timeout`.
pub(super) async fn time_out(
    State(app): Shared,
    login: Login,
    At((room, target)): At<(RoomId, AccountId)>,
    Body(body): Body<TimeoutBody>,
) -> Result<StatusCode, Refusal> {
    let who = (login.account, target);
    app.store.write(move |work| members::time_out(work, room, who, Some(&body))).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// DELETE `/{room}/members/{account}/timeout`.
pub(super) async fn end_timeout(
    State(app): Shared,
    login: Login,
    At((room, target)): At<(RoomId, AccountId)>,
) -> Result<StatusCode, Refusal> {
    let who = (login.account, target);
    app.store.write(move |work| members::time_out(work, room, who, None)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// GET `/invites`.
pub(super) async fn invitations(State(app): Shared, login: Login) -> Answer<Vec<Member>> {
    app.store.read(move |connection| invites::list(connection, login.account)).await.map(Json)
}

/// POST `/invites/{room}`.
pub(super) async fn invite(
    State(app): Shared,
    login: Login,
    At(room): At<RoomId>,
    Body(body): Body<InviteBody>,
) -> Answer<Member> {
    app.may_send(login.account)?;
    let (account, invitee) = (login.account, body.related_user_id);
    app.store.write(move |work| invites::invite(work, room, account, invitee)).await.map(Json)
}

/// POST `/invites/{room}/accept`.
pub(super) async fn accept(
    State(app): Shared,
    login: Login,
    At(room): At<RoomId>,
) -> Answer<Member> {
    app.may_send(login.account)?;
    app.store.write(move |work| invites::accept(work, room, login.account)).await.map(Json)
}

/// POST `/invites/{room}/decline`.
pub(super) async fn decline(
    State(app): Shared,
    login: Login,
    At(room): At<RoomId>,
) -> Result<StatusCode, Refusal> {
    app.store.write(move |work| invites::decline(work, room, login.account)).await?;
    Ok(StatusCode::NO_CONTENT)
}
