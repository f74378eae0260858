//! Keys, sessions and envelopes.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};

use super::{Login, Query, at::At, body::Body};
use crate::{
    app::App,
    refusal::Refusal,
    store::{
        bundles::{self, Claim},
        envelopes::{self, Recipient},
        fanning, sessions,
    },
    values::{AccountId, DeviceId, EnvelopeId, Moment},
    wire::{
        BundleBody, DeviceBundle, DistributeBody, Envelope, EnvelopeBody, FanoutBody, PublicBundle,
        Sent, Session, SessionBody,
    },
};

type Answer<T> = Result<Json<T>, Refusal>;
type Shared = State<Arc<App>>;

/// POST `/keys/upload`.
pub(super) async fn upload(
    State(app): Shared,
    login: Login,
    Body(mut body): Body<BundleBody>,
) -> Answer<DeviceBundle> {
    app.may_send(login.account)?;
    body.device_label = None;
    let device = DeviceId(DeviceId::LEGACY.to_owned());
    let upload = move |work: &mut crate::store::Work<'_>| {
        bundles::upload(work, login.account, &device, &body)
    };
    app.store.write(upload).await.map(Json)
}

/// PUT `/devices/me/bundle`.
pub(super) async fn upload_device(
    State(app): Shared,
    login: Login,
    Body(body): Body<BundleBody>,
) -> Answer<DeviceBundle> {
    app.may_send(login.account)?;
    let upload = move |work: &mut crate::store::Work<'_>| {
        bundles::upload(work, login.account, &login.device, &body)
    };
    app.store.write(upload).await.map(Json)
}

/// GET `/keys/me`.
pub(super) async fn mine(State(app): Shared, login: Login) -> Answer<PublicBundle> {
    let claim = (Claim::None, Moment::now());
    let read =
        move |connection: &rusqlite::Connection| bundles::latest(connection, login.account, claim);
    app.store.read(read).await.map(Json)
}

/// What to do about a one-time key, by the query.
fn claim(app: &App, login: &Login, target: AccountId, query: &Query) -> Result<Claim, Refusal> {
    if !query.flag("consumeOneTimePreKey", true)? {
        return Ok(Claim::None);
    }
    app.may_claim(login.account, target)?;
    Ok(Claim::For(login.account))
}

/// GET `/keys/{account}/bundle`.
pub(super) async fn bundle(
    State(app): Shared,
    login: Login,
    At(target): At<AccountId>,
    query: Query,
) -> Answer<PublicBundle> {
    let claim = claim(&app, &login, target, &query)?;
    let take = move |work: &mut crate::store::Work<'_>| {
        bundles::latest(work.connection, target, (claim, work.now))
    };
    app.store.write(take).await.map(Json)
}

/// GET `/keys/{account}/devices`.
pub(super) async fn devices(
    State(app): Shared,
    login: Login,
    At(target): At<AccountId>,
    query: Query,
) -> Answer<Vec<PublicBundle>> {
    let claim = claim(&app, &login, target, &query)?;
    let take = move |work: &mut crate::store::Work<'_>| {
        bundles::of_devices(work.connection, target, (claim, work.now))
    };
    app.store.write(take).await.map(Json)
}

/// POST `/devices/{device}/revoke`.
pub(super) async fn revoke(
    State(app): Shared,
    login: Login,
    At(device): At<String>,
) -> Result<StatusCode, Refusal> {
    app.store.write(move |work| bundles::revoke(work, login.account, &device)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// POST `/sessions/{peer}`.
pub(super) async fn ensure_session(
    State(app): Shared,
    login: Login,
    At(peer): At<AccountId>,
    Body(body): Body<SessionBody>,
) -> Answer<Session> {
    app.may_send(login.account)?;
    app.store.write(move |work| sessions::ensure(work, login.account, peer, &body)).await.map(Json)
}

/// POST `/messages`.
pub(super) async fn send(
    State(app): Shared,
    login: Login,
    Body(body): Body<EnvelopeBody>,
) -> Answer<Envelope> {
    app.may_send(login.account)?;
    app.store.write(move |work| fanning::send(work, login.account, body)).await.map(Json)
}

/// POST `/groups/sender-key/distribute`.
pub(super) async fn distribute(
    State(app): Shared,
    login: Login,
    Body(body): Body<DistributeBody>,
) -> Answer<Sent> {
    app.may_send(login.account)?;
    let sent = app.store.write(move |work| fanning::distribute(work, login.account, body)).await?;
    Ok(Json(Sent { sent }))
}

/// POST `/messages/fanout`.
pub(super) async fn fan_out(
    State(app): Shared,
    login: Login,
    Body(body): Body<FanoutBody>,
) -> Answer<Vec<Envelope>> {
    app.may_send(login.account)?;
    let sender = (login.account, login.device);
    app.store.write(move |work| fanning::fan_out(work, sender, body)).await.map(Json)
}

/// GET `/messages/pending`.
pub(super) async fn pending(
    State(app): Shared,
    login: Login,
    query: Query,
) -> Answer<Vec<Envelope>> {
    let take = query.number("take", 100, 500)?.max(1);
    let recipient = Recipient { account: login.account, device: String::new() };
    app.store.write(move |work| envelopes::pending(work, &recipient, take)).await.map(Json)
}

/// POST `/messages/{envelope}/ack`.
pub(super) async fn acknowledge(
    State(app): Shared,
    login: Login,
    At(envelope): At<EnvelopeId>,
) -> Answer<Envelope> {
    let recipient = Recipient { account: login.account, device: String::new() };
    let acknowledge =
        move |work: &mut crate::store::Work<'_>| envelopes::acknowledge(work, envelope, &recipient);
    app.store.write(acknowledge).await.map(Json)
}

/// The device of the query, or else that of the token.
fn device(login: &Login, query: &Query) -> Recipient {
    let device = query.text("device_id").unwrap_or(login.device.as_str()).to_owned();
    Recipient { account: login.account, device }
}

/// GET `/envelopes/pending`.
pub(super) async fn device_pending(
    State(app): Shared,
    login: Login,
    query: Query,
) -> Answer<Vec<Envelope>> {
    let take = query.number("take", 100, 500)?.max(1);
    let recipient = device(&login, &query);
    let read = move |work: &mut crate::store::Work<'_>| {
        envelopes::check_device(work.connection, recipient.account, &recipient.device)?;
        envelopes::pending(work, &recipient, take)
    };
    app.store.write(read).await.map(Json)
}

/// POST `/envelopes/{envelope}/ack`.
pub(super) async fn device_acknowledge(
    State(app): Shared,
    login: Login,
    At(envelope): At<EnvelopeId>,
    query: Query,
) -> Answer<Envelope> {
    let recipient = device(&login, &query);
    let acknowledge = move |work: &mut crate::store::Work<'_>| {
        envelopes::check_device(work.connection, recipient.account, &recipient.device)?;
        envelopes::acknowledge(work, envelope, &recipient)
    };
    app.store.write(acknowledge).await.map(Json)
}
