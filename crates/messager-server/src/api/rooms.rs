//! Rooms.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};

use super::{
    Login,
    at::At,
    body::{Body, MaybeBody},
};
use crate::{
    app::App,
    refusal::Refusal,
    store::rooms,
    values::{AccountId, RoomId},
    wire::{DirectBody, EnableBody, Room, RoomBody},
};

type Answer<T> = Result<Json<T>, Refusal>;

/// GET `/{id}`.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    login: Option<Login>,
    At(room): At<RoomId>,
) -> Answer<Room> {
    let reader = login.map(|login| login.account);
    app.store.read(move |connection| rooms::show(connection, room, reader)).await.map(Json)
}

/// GET `/`.
pub(super) async fn joined(State(app): State<Arc<App>>, login: Login) -> Answer<Vec<Room>> {
    app.store.read(move |connection| rooms::joined(connection, login.account)).await.map(Json)
}

/// POST `/direct`.
pub(super) async fn make_direct(
    State(app): State<Arc<App>>,
    login: Login,
    Body(body): Body<DirectBody>,
) -> Answer<Room> {
    app.may_send(login.account)?;
    app.store.write(move |work| rooms::make_direct(work, login.account, &body)).await.map(Json)
}

/// GET `/direct/{account}`.
pub(super) async fn direct(
    State(app): State<Arc<App>>,
    login: Login,
    At(peer): At<AccountId>,
) -> Answer<Room> {
    let read =
        move |connection: &rusqlite::Connection| rooms::direct(connection, login.account, peer);
    app.store.read(read).await.map(Json)
}

/// POST `/`.
pub(super) async fn make(
    State(app): State<Arc<App>>,
    login: Login,
    Body(body): Body<RoomBody>,
) -> Answer<Room> {
    app.may_send(login.account)?;
    app.store.write(move |work| rooms::make(work, login.account, &body)).await.map(Json)
}

/// PATCH `/{id}`.
pub(super) async fn change(
    State(app): State<Arc<App>>,
    login: Login,
    At(room): At<RoomId>,
    Body(body): Body<RoomBody>,
) -> Answer<Room> {
    app.may_send(login.account)?;
    app.store.write(move |work| rooms::change(work, room, login.account, &body)).await.map(Json)
}

/// DELETE `/{id}`.
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    login: Login,
    At(room): At<RoomId>,
) -> Result<StatusCode, Refusal> {
    app.store.write(move |work| rooms::delete(work, room, login.account)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// POST `/{id}/e2ee/enable`.
pub(super) async fn enable(
    State(app): State<Arc<App>>,
    login: Login,
    At(room): At<RoomId>,
    MaybeBody(body): MaybeBody<EnableBody>,
) -> Answer<Room> {
    app.may_send(login.account)?;
    app.store.write(move |work| rooms::enable(work, room, login.account, &body)).await.map(Json)
}
