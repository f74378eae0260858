//! Every route, with what is documented about it.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    http::header::{CONTENT_TYPE, HeaderName},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
};

use super::{
    accounts, members, messages,
    operations::{
        Access::{Both, Open},
        Area,
        Method::{Delete, Get, Patch, Post, Put},
        op,
    },
    pass, rooms, voice,
};
use crate::{
    app::App,
    live,
    refusal::Refusal,
    wire::{
        Account, BundleBody, DeleteBody, DeviceBundle, DirectBody, DistributeBody, EnableBody,
        Envelope, EnvelopeBody, FanoutBody, InviteBody, Me, Member, Message, NotifyBody,
        PublicBundle, Reaction, ReactionBody, Room, RoomBody, SendBody, Sent, Session, SessionBody,
        Summary, SyncBody, SyncPage, TimeoutBody,
    },
};

/// The most bytes of a body: a fan-out to hundreds of devices, or a voice clip.
const MOST: usize = 2 * 1024 * 1024;

/// Everything that is served.
pub(crate) fn router(app: Arc<App>) -> Router {
    let areas = areas().into_iter().map(Area::into_router);
    areas
        .fold(Router::new(), Router::merge)
        .fallback(async || Refusal::NotFound("route"))
        .layer(DefaultBodyLimit::max(MOST))
        .layer(from_fn_with_state(app.clone(), super::around::around))
        .with_state(app)
}

const PAGE: &[(&str, &str)] =
    &[("take", "How many, 20 unless told"), ("offset", "Behind how many")];
const TAKE: &[(&str, &str)] = &[("take", "How many, from 1 to 500, 100 unless told")];
const CONSUME: &[(&str, &str)] = &[("consumeOneTimePreKey", "Whether a key is claimed; it is")];
const DEVICE: &[(&str, &str)] = &[("device_id", "One's own device; that of the token")];
const DEVICE_TAKE: &[(&str, &str)] = &[DEVICE[0], TAKE[0]];
const WATCH: &[(&str, &str)] = &[("deviceAlt", "`watch`: the device id with `+watch` behind it")];

pub(super) fn areas() -> Vec<Area> {
    vec![account_area(), room_area(), member_area(), message_area(), pass_area(), service_area()]
}

fn account_area() -> Area {
    Area::new("accounts", &["/api/accounts", "/id/accounts"])
        .on(Get, "/me", accounts::me, op("me", "Whom the token is for").gives::<Me>())
        .on(
            Get,
            "/{name}",
            accounts::by_name,
            op("by_name", "The account of a name").gives::<Account>().refuses(&[404]),
        )
}

const CHAT: &[&str] = &["/api/chat", "/messager/chat"];

fn room_area() -> Area {
    Area::new("rooms", CHAT)
        .on(Get, "/", rooms::joined, op("joined", "The rooms one is in").gives::<Vec<Room>>())
        .on(
            Post,
            "/",
            rooms::make,
            op("make", "Makes a group").takes::<RoomBody>().gives::<Room>().refuses(&[409]),
        )
        .on(
            Post,
            "/direct",
            rooms::make_direct,
            op("make_direct", "Makes a direct chat and invites the other")
                .takes::<DirectBody>()
                .gives::<Room>()
                .refuses(&[409]),
        )
        .on(
            Get,
            "/direct/{account_id}",
            rooms::direct,
            op("direct", "The direct chat with somebody").gives::<Room>().refuses(&[404]),
        )
        .on(
            Get,
            "/{id}",
            rooms::show,
            op("show", "A room").access(Both).gives::<Room>().refuses(&[404]),
        )
        .on(
            Patch,
            "/{id}",
            rooms::change,
            op("change", "Changes what is said about a room")
                .takes::<RoomBody>()
                .gives::<Room>()
                .refuses(&[403, 404, 409]),
        )
        .on(
            Delete,
            "/{id}",
            rooms::delete,
            op("delete", "Deletes a room").status(204).refuses(&[403, 404]),
        )
        .on(
            Post,
            "/{id}/e2ee/enable",
            rooms::enable,
            op("enable", "Turns encryption on, for ever")
                .may_take::<EnableBody>()
                .gives::<Room>()
                .refuses(&[403, 404, 409]),
        )
}

fn member_area() -> Area {
    let list = op("list", "Members, and who is invited").access(Both).query(PAGE);
    Area::new("members", CHAT)
        .on(
            Get,
            "/{id}/members",
            members::list,
            list.gives::<Vec<Member>>().refuses(&[401, 403, 404]),
        )
        .on(
            Get,
            "/{id}/members/online",
            members::online,
            op("online", "How many members are connected")
                .access(Both)
                .gives::<usize>()
                .refuses(&[401, 403, 404]),
        )
        .on(
            Get,
            "/{id}/members/me",
            members::me,
            op("me", "One's own membership").gives::<Member>().refuses(&[404]),
        )
        .on(
            Post,
            "/{id}/members/me",
            members::join,
            op("join", "Joins a community: the room the first time, then the membership")
                .gives::<Room>()
                .refuses(&[400, 403, 404]),
        )
        .on(
            Delete,
            "/{id}/members/me",
            members::leave,
            op("leave", "Leaves a room").status(204).refuses(&[400, 404]),
        )
        .on(
            Patch,
            "/{id}/members/me/notify",
            members::notify,
            op("notify", "Changes what one is told")
                .takes::<NotifyBody>()
                .gives::<Member>()
                .refuses(&[404]),
        )
        .on(
            Delete,
            "/{id}/members/{account_id}",
            members::kick,
            op("kick", "Removes somebody").status(204).refuses(&[400, 403, 404]),
        )
        .on(
            Post,
            "/{id}/members/{account_id}/timeout",
            members::time_out,
            op("time_out", "Keeps somebody from writing")
                .takes::<TimeoutBody>()
                .status(204)
                .refuses(&[403, 404]),
        )
        .on(
            Delete,
            "/{id}/members/{account_id}/timeout",
            members::end_timeout,
            op("end_timeout", "Lets somebody write again").status(204).refuses(&[403, 404]),
        )
        .on(
            Get,
            "/invites",
            members::invitations,
            op("invitations", "One's own invitations").gives::<Vec<Member>>(),
        )
        .on(
            Post,
            "/invites/{id}",
            members::invite,
            op("invite", "Invites somebody")
                .takes::<InviteBody>()
                .gives::<Member>()
                .refuses(&[403, 404, 409]),
        )
        .on(
            Post,
            "/invites/{id}/accept",
            members::accept,
            op("accept", "Accepts an invitation").gives::<Member>().refuses(&[404, 409]),
        )
        .on(
            Post,
            "/invites/{id}/decline",
            members::decline,
            op("decline", "Declines an invitation").status(204).refuses(&[404]),
        )
}

fn message_area() -> Area {
    let list = op("list", "Rows of a timeline, the newest first").access(Both).gated().query(PAGE);
    Area::new("messages", CHAT)
        .on(
            Get,
            "/{id}/messages",
            messages::list,
            list.gives::<Vec<Message>>().refuses(&[401, 403, 404, 409]),
        )
        .on(
            Get,
            "/{id}/messages/{message_id}",
            messages::one,
            op("one", "A row")
                .access(Both)
                .gated()
                .gives::<Message>()
                .refuses(&[401, 403, 404, 409]),
        )
        .on(
            Post,
            "/{id}/messages",
            messages::send,
            op("send", "Sends a message")
                .gated()
                .takes::<SendBody>()
                .gives::<Message>()
                .refuses(&[403, 409, 413]),
        )
        .on(
            Patch,
            "/{id}/messages/{message_id}",
            messages::edit,
            op("edit", "Replaces what a message says")
                .gated()
                .takes::<SendBody>()
                .gives::<Message>()
                .refuses(&[403, 404, 409, 413]),
        )
        .on(
            Delete,
            "/{id}/messages/{message_id}",
            messages::delete,
            op("delete", "Deletes a message; in an encrypted room with an encrypted payload")
                .gated()
                .may_take::<DeleteBody>()
                .refuses(&[403, 404, 409]),
        )
        .on(
            Post,
            "/{id}/messages/voice",
            voice::send,
            op("send_voice", "Sends a voice clip as a multipart form: File, Nonce, DurationMs")
                .gives::<Message>()
                .refuses(&[400, 403, 409, 413]),
        )
        .on(
            Get,
            "/{id}/voice/{voice_id}",
            voice::hear,
            op("hear", "A voice clip").access(Both).refuses(&[401, 403, 404]),
        )
        .on(
            Post,
            "/{id}/messages/{message_id}/reactions",
            messages::react,
            op("react", "Adds a reaction; again takes it back, with 204")
                .takes::<ReactionBody>()
                .gives::<Reaction>()
                .refuses(&[403, 404]),
        )
        .on(
            Delete,
            "/{id}/messages/{message_id}/reactions/{symbol}",
            messages::unreact,
            op("unreact", "Takes a reaction back").status(204).refuses(&[403, 404]),
        )
        .on(
            Post,
            "/{id}/sync",
            messages::sync,
            op("sync", "What is new in a room, the oldest first, 500 rows at most")
                .gated()
                .takes::<SyncBody>()
                .gives::<SyncPage>()
                .refuses(&[403, 404, 409]),
        )
        .on(
            Post,
            "/sync",
            messages::sync_all,
            op("sync_all", "What is new in all rooms, the oldest first, 500 rows at most")
                .gated()
                .takes::<SyncBody>()
                .gives::<SyncPage>()
                .refuses(&[409]),
        )
        .on(
            Get,
            "/summary",
            messages::summary,
            op("summary", "The last row and how many were not read, by room")
                .gated()
                .gives::<BTreeMap<String, Summary>>(),
        )
        .on(
            Get,
            "/unread",
            messages::unread,
            op("unread", "How many rows were not read").gives::<i64>(),
        )
}

fn pass_area() -> Area {
    Area::new("pass", &["/api/e2ee", "/pass/e2ee"])
        .on(
            Post,
            "/keys/upload",
            pass::upload,
            op("upload", "Stores the keys of an account")
                .takes::<BundleBody>()
                .gives::<DeviceBundle>(),
        )
        .on(
            Put,
            "/devices/me/bundle",
            pass::upload_device,
            op("upload_device", "Stores the keys of the token's device")
                .takes::<BundleBody>()
                .gives::<DeviceBundle>(),
        )
        .on(
            Get,
            "/keys/me",
            pass::mine,
            op("mine", "One's own latest keys").gives::<PublicBundle>().refuses(&[404]),
        )
        .on(
            Get,
            "/keys/{account_id}/bundle",
            pass::bundle,
            op("bundle", "The latest keys of an account, with a one-time key")
                .query(CONSUME)
                .gives::<PublicBundle>()
                .refuses(&[404, 429]),
        )
        .on(
            Get,
            "/keys/{account_id}/devices",
            pass::devices,
            op("devices", "The keys of each device of an account, each with a one-time key")
                .query(CONSUME)
                .gives::<Vec<PublicBundle>>()
                .refuses(&[429]),
        )
        .on(
            Post,
            "/devices/{device_id}/revoke",
            pass::revoke,
            op("revoke", "Takes a device of one's own out of use").status(204).refuses(&[404]),
        )
        .on(
            Post,
            "/sessions/{peer_id}",
            pass::ensure_session,
            op("ensure_session", "Finds or makes the conversation with somebody")
                .takes::<SessionBody>()
                .gives::<Session>()
                .refuses(&[404]),
        )
        .on(
            Post,
            "/messages",
            pass::send,
            op("send", "Sends an envelope to an account as a whole")
                .takes::<EnvelopeBody>()
                .gives::<Envelope>()
                .refuses(&[404]),
        )
        .on(
            Post,
            "/groups/sender-key/distribute",
            pass::distribute,
            op("distribute", "Sends a sender key to several accounts, or to none")
                .takes::<DistributeBody>()
                .gives::<Sent>()
                .refuses(&[404]),
        )
        .on(
            Post,
            "/messages/fanout",
            pass::fan_out,
            op("fan_out", "Sends an envelope to each device of an account, or to none")
                .takes::<FanoutBody>()
                .gives::<Vec<Envelope>>()
                .refuses(&[404, 409]),
        )
        .on(
            Get,
            "/messages/pending",
            pass::pending,
            op("pending", "What waits for one's account").query(TAKE).gives::<Vec<Envelope>>(),
        )
        .on(
            Post,
            "/messages/{envelope_id}/ack",
            pass::acknowledge,
            op("acknowledge", "Acknowledges an envelope").gives::<Envelope>().refuses(&[404]),
        )
        .on(
            Get,
            "/envelopes/pending",
            pass::device_pending,
            op("device_pending", "What waits for a device of one's own")
                .query(DEVICE_TAKE)
                .gives::<Vec<Envelope>>()
                .refuses(&[404]),
        )
        .on(
            Post,
            "/envelopes/{envelope_id}/ack",
            pass::device_acknowledge,
            op("device_acknowledge", "Acknowledges an envelope for a device")
                .query(DEVICE)
                .gives::<Envelope>()
                .refuses(&[404]),
        )
}

fn service_area() -> Area {
    Area::new("service", &[""])
        .on(
            Get,
            "/ws",
            live::connect,
            op("connect", "The websocket: see the guide for its packets").status(101).query(WATCH),
        )
        .on(Get, "/healthz", health, op("health", "Says that the server answers").access(Open))
        .on(
            Get,
            "/readyz",
            ready,
            op("ready", "Says whether the tables can be read and written").access(Open),
        )
        .on(
            Get,
            "/metrics",
            metrics,
            op("metrics", "Counters in the format of OpenMetrics").access(Open),
        )
        .on(Get, "/openapi.json", openapi, op("openapi", "This document").access(Open))
}

async fn health() -> &'static str {
    "ok\n"
}

async fn ready(State(app): State<Arc<App>>) -> Result<&'static str, Refusal> {
    app.store.write(|_| Ok(())).await?;
    app.store.read(|_| Ok(())).await?;
    Ok("ok\n")
}

/// The type of the text format (OpenMetrics 1.0).
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

async fn metrics(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    let text = app.hub.counts().text().map_err(|_| Refusal::Broken)?;
    Ok(([(CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}

/// It is the same each time.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| super::document().to_string());

async fn openapi() -> ([(HeaderName, &'static str); 1], &'static str) {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT.as_str())
}
