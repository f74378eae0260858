//! One websocket, from its upgrade to its end.

use std::{pin::pin, sync::Arc, time::Duration};

use axum::{
    extract::{
        State,
        ws::{CloseFrame, Message as Frame, WebSocket, WebSocketUpgrade},
    },
    http::HeaderMap,
    response::Response,
};
use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout};

use super::{
    hub::{Ending, Line, Next},
    incoming::{Client, answer},
};
use crate::{
    api::{Login, Query},
    app::{App, Limits},
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

/// Opens a websocket for the device of a token.
///
/// # Errors
///
/// 401 without a token that counts; 400 for an unknown `deviceAlt`; 503 when as many
/// sockets are open as can be.
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
    if app.sockets.len() >= app.limits.sockets() {
        return Err(Refusal::Unavailable);
    }
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
    let Limits { patience, keepalive, .. } = client.app.limits;
    let mut wire = Wire { socket: &mut socket, patience };
    // Something was heard: the upgrade. Then it is asked, and after that given up.
    let mut silent = pin!(sleep(keepalive));
    let mut is_asked = false;
    loop {
        let sent = tokio::select! {
            // What was there before a packet of the client goes out before its answer.
            biased;
            next = line.next() => match next {
                Next::Packet(packet) => wire.send(Frame::Binary(packet)).await,
                Next::End(why) => {
                    let _gone = wire.send(Frame::Close(Some(farewell(why)))).await;
                    return;
                }
            },
            frame = wire.socket.recv() => {
                let Some(Ok(frame)) = frame else { return };
                let sent = match frame {
                    Frame::Text(text) => wire.reply(client, text.as_bytes()).await,
                    Frame::Binary(bytes) => wire.reply(client, &bytes).await,
                    // Pings are answered below us.
                    Frame::Ping(_) | Frame::Pong(_) => true,
                    Frame::Close(_) => return,
                };
                silent.as_mut().reset(Instant::now() + keepalive);
                is_asked = false;
                sent
            }
            () = &mut silent => {
                silent.as_mut().reset(Instant::now() + keepalive);
                let asked = !is_asked && wire.send(Frame::Ping(Bytes::new())).await;
                is_asked = true;
                asked
            }
        };
        if !sent {
            return;
        }
    }
}

/// A socket that has to take what is sent.
struct Wire<'a> {
    socket: &'a mut WebSocket,
    patience: Duration,
}

impl Wire<'_> {
    /// Whether a frame went out in time.
    async fn send(&mut self, frame: Frame) -> bool {
        matches!(timeout(self.patience, self.socket.send(frame)).await, Ok(Ok(())))
    }

    async fn reply(&mut self, client: &Client, bytes: &[u8]) -> bool {
        let answer = match bytes.len() > MOST {
            true => Packet::error(format!("A packet has {MOST} bytes at most.")).bytes().ok(),
            false => answer(client, bytes).await,
        };
        match answer {
            None => true,
            Some(bytes) => self.send(Frame::Binary(bytes)).await,
        }
    }
}

fn farewell(why: Ending) -> CloseFrame {
    let (code, reason) = match why {
        Ending::Replaced => (1000, "this device has connected again"),
        Ending::Crowded => (1008, "this account has opened too many others"),
        Ending::Slow => (1013, "packets were not taken in time: connect again and sync"),
        Ending::Revoked => (1008, "this device was revoked"),
        Ending::Stopping => (1001, "the server stops"),
    };
    CloseFrame { code, reason: reason.into() }
}
