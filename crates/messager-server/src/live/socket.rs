//! One websocket, from its upgrade to its end.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::{
        State,
        ws::{CloseFrame, Message as Frame, WebSocket, WebSocketUpgrade},
    },
    http::HeaderMap,
    response::Response,
};
use bytes::Bytes;

use super::{
    hub::{Ending, Line, Next},
    incoming::{Client, answer},
};
use crate::{
    api::{Login, Query},
    app::App,
    refusal::Refusal,
    rules::Ability,
    values::DeviceId,
    wire::Packet,
};

/// The most bytes of a packet from a client.
const MOST: usize = 256 * 1024;

/// The most bytes that are read at all: the client of a packet between the two
/// is told, that of a longer one is cut off.
const READ: usize = 1024 * 1024;

/// How often a socket is asked whether it is still there.
const ASKED: Duration = Duration::from_secs(60);

/// How long a socket may say nothing. It answers when it is asked.
const SILENCE: Duration = Duration::from_secs(150);

/// How long a packet may take to get into the network.
const PATIENCE: Duration = Duration::from_secs(30);

/// Opens a websocket for the device of a token.
///
/// # Errors
///
/// 401 without a token that counts; 400 for an unknown `deviceAlt`.
pub(crate) async fn connect(
    State(app): State<Arc<App>>,
    login: Login,
    query: Query,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, Refusal> {
    let device = match query.text("deviceAlt") {
        None => login.device.clone(),
        Some("watch") => DeviceId(format!("{}+watch", login.device)),
        Some(_) => return Err(Refusal::field("deviceAlt", "has to be `watch`, or left out")),
    };
    let upgrade = upgrade.map_err(|_| Refusal::bad("This is a websocket."))?;
    let client = Client { app: app.clone(), login, ability: Ability::of(&headers) };
    // Counted from here on, so that a stop waits for it.
    let token = app.sockets.token();
    let upgrade = upgrade.max_message_size(READ).max_frame_size(READ);
    Ok(upgrade.on_upgrade(move |socket| async move {
        let Login { account, device: login } = client.login.clone();
        let line = app.hub.register((account, login), device);
        // It may have been revoked while nobody knew of this socket.
        client.close_unless_let_in().await;
        serve(socket, line, &client).await;
        drop(token);
    }))
}

async fn serve(mut socket: WebSocket, mut line: Line, client: &Client) {
    let mut asking = tokio::time::interval_at(tokio::time::Instant::now() + ASKED, ASKED);
    let mut heard = Instant::now();
    loop {
        let sent = tokio::select! {
            // What was there before a packet of the client goes out before its answer.
            biased;
            next = line.next() => match next {
                Next::Packet(packet) => send(&mut socket, Frame::Binary(packet)).await,
                Next::End(why) => {
                    let _gone = send(&mut socket, Frame::Close(Some(farewell(why)))).await;
                    return;
                }
            },
            frame = socket.recv() => {
                let Some(Ok(frame)) = frame else { return };
                heard = Instant::now();
                match frame {
                    Frame::Text(text) => reply(&mut socket, client, text.as_bytes()).await,
                    Frame::Binary(bytes) => reply(&mut socket, client, &bytes).await,
                    // Pings are answered below us.
                    Frame::Ping(_) | Frame::Pong(_) => true,
                    Frame::Close(_) => return,
                }
            }
            _ = asking.tick() => {
                heard.elapsed() < SILENCE && send(&mut socket, Frame::Ping(Bytes::new())).await
            }
        };
        if !sent {
            return;
        }
    }
}

/// Whether a frame went out in time.
async fn send(socket: &mut WebSocket, frame: Frame) -> bool {
    matches!(tokio::time::timeout(PATIENCE, socket.send(frame)).await, Ok(Ok(())))
}

async fn reply(socket: &mut WebSocket, client: &Client, bytes: &[u8]) -> bool {
    let answer = match bytes.len() > MOST {
        true => Packet::error(format!("A packet has {MOST} bytes at most.")).bytes().ok(),
        false => answer(client, bytes).await,
    };
    match answer {
        None => true,
        Some(bytes) => send(socket, Frame::Binary(bytes)).await,
    }
}

fn farewell(why: Ending) -> CloseFrame {
    let (code, reason) = match why {
        Ending::Replaced => (1000, "this device has connected again"),
        Ending::Slow => (1013, "packets were not taken in time: connect again and sync"),
        Ending::Revoked => (1008, "this device was revoked"),
        Ending::Stopping => (1001, "the server stops"),
    };
    CloseFrame { code, reason: reason.into() }
}
