//! Messages and syncs.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};

use super::{
    Login, Query,
    at::At,
    body::{Body, MaybeBody},
    members::{Counted, TOTAL},
};
use crate::{
    app::App,
    refusal::Refusal,
    rules::Ability,
    store::{deleting, editing, listing, reactions, sending},
    values::{MessageId, Moment, RoomId},
    wire::{DeleteBody, Message, ReactionBody, SendBody, Summary, SyncBody, SyncPage},
};

type Answer<T> = Result<Json<T>, Refusal>;
type Shared = State<Arc<App>>;
type Place = (RoomId, MessageId);

/// GET `/{room}/messages`.
pub(super) async fn list(
    State(app): Shared,
    login: Option<Login>,
    At(room): At<RoomId>,
    query: Query,
    headers: HeaderMap,
) -> Counted<Vec<Message>> {
    let reader = (login.map(|login| login.account), Ability::of(&headers));
    let page = query.page()?;
    let read =
        move |connection: &rusqlite::Connection| listing::list(connection, room, reader, page);
    let (messages, total) = app.store.read(read).await?;
    Ok(([(TOTAL, total.to_string())], Json(messages)))
}

/// GET `/{room}/messages/{message}`.
pub(super) async fn one(
    State(app): Shared,
    login: Option<Login>,
    At(place): At<Place>,
    headers: HeaderMap,
) -> Answer<Message> {
    let (reader, ability) = (login.map(|login| login.account), Ability::of(&headers));
    let read =
        move |connection: &rusqlite::Connection| listing::one(connection, place, reader, ability);
    app.store.read(read).await.map(Json)
}

/// POST `/{room}/messages`.
pub(super) async fn send(
    State(app): Shared,
    login: Login,
    At(room): At<RoomId>,
    headers: HeaderMap,
    Body(body): Body<SendBody>,
) -> Answer<Message> {
    app.may_send(login.account)?;
    let (account, ability) = (login.account, Ability::of(&headers));
    app.store.write(move |work| sending::send(work, room, account, ability, body)).await.map(Json)
}

/// PATCH `/{room}/messages/{message}`.
pub(super) async fn edit(
    State(app): Shared,
    login: Login,
    At(place): At<Place>,
    headers: HeaderMap,
    Body(body): Body<SendBody>,
) -> Answer<Message> {
    app.may_send(login.account)?;
    let (account, ability) = (login.account, Ability::of(&headers));
    app.store.write(move |work| editing::edit(work, place, account, ability, body)).await.map(Json)
}

/// DELETE `/{room}/messages/{message}`.
pub(super) async fn delete(
    State(app): Shared,
    login: Login,
    At(place): At<Place>,
    headers: HeaderMap,
    MaybeBody(body): MaybeBody<DeleteBody>,
) -> Result<StatusCode, Refusal> {
    app.may_send(login.account)?;
    let (account, ability) = (login.account, Ability::of(&headers));
    app.store.write(move |work| deleting::delete(work, place, account, ability, &body)).await?;
    Ok(StatusCode::OK)
}

/// POST `/{room}/messages/{message}/reactions`.
pub(super) async fn react(
    State(app): Shared,
    login: Login,
    At(place): At<Place>,
    Body(body): Body<ReactionBody>,
) -> Result<Response, Refusal> {
    app.may_send(login.account)?;
    let account = login.account;
    let added = app.store.write(move |work| reactions::react(work, place, account, &body)).await?;
    Ok(match added {
        Some(reaction) => Json(reaction).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

/// DELETE `/{room}/messages/{message}/reactions/{symbol}`.
pub(super) async fn unreact(
    State(app): Shared,
    login: Login,
    At((room, message, symbol)): At<(RoomId, MessageId, String)>,
) -> Result<StatusCode, Refusal> {
    app.may_send(login.account)?;
    let (place, account) = ((room, message), login.account);
    app.store.write(move |work| reactions::remove(work, place, account, &symbol)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// POST `/{room}/sync`.
pub(super) async fn sync(
    State(app): Shared,
    login: Login,
    At(room): At<RoomId>,
    headers: HeaderMap,
    Body(body): Body<SyncBody>,
) -> Counted<SyncPage> {
    let reader = (login.account, Ability::of(&headers));
    let since = (Moment(body.last_sync_timestamp), app.store.settled());
    let read =
        move |connection: &rusqlite::Connection| listing::sync(connection, room, reader, since);
    let page = app.store.read(read).await?;
    Ok(([(TOTAL, page.total_count.to_string())], Json(page)))
}

/// POST `/sync`.
pub(super) async fn sync_all(
    State(app): Shared,
    login: Login,
    headers: HeaderMap,
    Body(body): Body<SyncBody>,
) -> Answer<SyncPage> {
    let reader = (login.account, Ability::of(&headers));
    let since = (Moment(body.last_sync_timestamp), app.store.settled());
    app.store.read(move |connection| listing::sync_all(connection, reader, since)).await.map(Json)
}

/// GET `/summary`.
pub(super) async fn summary(
    State(app): Shared,
    login: Login,
    headers: HeaderMap,
) -> Answer<BTreeMap<String, Summary>> {
    let (reader, ability) = (login.account, Ability::of(&headers));
    app.store.read(move |connection| listing::summary(connection, reader, ability)).await.map(Json)
}

/// GET `/unread`.
pub(super) async fn unread(State(app): Shared, login: Login, headers: HeaderMap) -> Answer<i64> {
    let (reader, ability) = (login.account, Ability::of(&headers));
    let read =
        move |connection: &rusqlite::Connection| Ok(listing::unread(connection, reader, ability)?);
    app.store.read(read).await.map(Json)
}
