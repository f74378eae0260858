//! The websocket of a device: what happens, when it happens.
//!
//! A socket gives no promise that nothing was missed. Whoever has connected one
//! asks for envelopes and rows afterwards, and again after each end.
//!
//! The connection is made by the HTTP client of [`Client`] and taken over from
//! it, so TLS, proxies and the token in its header are the same for both.

use std::{pin::Pin, time::Duration};

use futures_util::{SinkExt, StreamExt};
use reqwest::{Method, StatusCode, Upgraded, header};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use tokio::time::{Instant, Sleep, timeout};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::{client::generate_key, derive_accept_key},
        protocol::{Role, WebSocketConfig},
    },
};

use crate::{
    client::{Client, ClientError, TimelineRow, as_envelope, as_row, described, refusal},
    crypto::{AccountId, Envelope, RoomId},
};

/// How often the server is asked whether it is still there.
const ASKED: Duration = Duration::from_secs(30);

/// How long the server may say nothing. It answers when it is asked.
const SILENCE: Duration = Duration::from_secs(60);

/// How long a packet may take to get into the network.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes of a packet that are read at most. The largest row is an eighth of it.
const MOST: usize = 4 * 1024 * 1024;

/// What clients call the chat service.
const ENDPOINT: &str = "DysonNetwork.Messager";

/// Something that the server told.
#[derive(Clone, Debug)]
pub enum Packet {
    /// A row, in any room that this account is in.
    Row(Box<TimelineRow>),
    /// An envelope for this device.
    Envelope(Envelope),
    /// Somebody is typing in a room that was subscribed to.
    Typing {
        /// Where.
        room: RoomId,
        /// Who.
        account: AccountId,
    },
    /// Something else.
    Other {
        /// Its `type`.
        name: String,
    },
}

/// The websocket of a device. Dropped, it is cut off.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<Upgraded>,
    /// When it is asked next.
    ask: Pin<Box<Sleep>>,
    /// When it has to have said something.
    silent: Pin<Box<Sleep>>,
}

#[derive(Deserialize)]
struct PacketWire {
    #[serde(rename = "type")]
    kind: String,
    data: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct TypingWire {
    room_id: RoomId,
    sender: SenderWire,
}

#[derive(Deserialize)]
struct SenderWire {
    account_id: AccountId,
}

impl Socket {
    /// Connects, and closes the socket that the device had before.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn connect(client: &Client) -> Result<Self, ClientError> {
        let key = generate_key();
        let request = client
            .request(Method::GET, &["ws"])
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, &key);
        let response = request.send().await.map_err(described)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(match response.status().is_success() {
                true => ClientError::nonsense("that is no websocket"),
                false => refusal(response).await,
            });
        }
        let accept = response.headers().get(header::SEC_WEBSOCKET_ACCEPT);
        if accept
            .is_none_or(|accept| accept.as_bytes() != derive_accept_key(key.as_bytes()).as_bytes())
        {
            return Err(ClientError::nonsense("that is not to this websocket"));
        }
        let upgraded = response.upgrade().await.map_err(described)?;
        let config =
            WebSocketConfig::default().max_message_size(Some(MOST)).max_frame_size(Some(MOST));
        let stream = WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await;
        let (ask, silent) = (tokio::time::sleep(ASKED), tokio::time::sleep(SILENCE));
        Ok(Self { stream, ask: Box::pin(ask), silent: Box::pin(silent) })
    }

    /// What the server tells next. Keeps the socket alive while it waits.
    ///
    /// # Errors
    ///
    /// When the socket has ended, for whatever reason. Connect another.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no packet is lost.
    pub async fn next(&mut self) -> Result<Packet, ClientError> {
        loop {
            let frame = tokio::select! {
                biased;
                frame = self.stream.next() => frame,
                // What waits in the kernel is read first.
                () = &mut self.silent => {
                    return Err(ClientError::unreachable("the websocket is silent"));
                }
                () = &mut self.ask => {
                    self.ask.as_mut().reset(Instant::now() + ASKED);
                    self.stream.feed(Message::Ping(Vec::new().into())).await.map_err(ended)?;
                    self.flush().await?;
                    continue;
                }
            };
            let frame =
                frame.ok_or_else(|| ClientError::unreachable("the websocket was cut off"))?;
            let frame = frame.map_err(ended)?;
            self.silent.as_mut().reset(Instant::now() + SILENCE);
            match frame {
                Message::Text(text) => {
                    if let Some(packet) = understood(text.as_bytes()) {
                        return Ok(packet);
                    }
                }
                Message::Binary(bytes) => {
                    if let Some(packet) = understood(&bytes) {
                        return Ok(packet);
                    }
                }
                Message::Close(frame) => {
                    let why = frame.map_or_else(
                        || "without a reason".to_owned(),
                        |frame| format!("{} {}", u16::from(frame.code), frame.reason),
                    );
                    let detail = format!("the server closed the websocket: {why}");
                    return Err(ClientError::unreachable(detail));
                }
                // Pings are answered below us.
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }

    /// Tells those who look at a room that somebody is typing there.
    ///
    /// # Errors
    ///
    /// When the socket has ended. That the account is not in the room is not
    /// answered here.
    pub async fn typing(&mut self, room: RoomId) -> Result<(), ClientError> {
        self.tell("messages.typing", room).await
    }

    /// Looks at a room, for an hour: who types there is told.
    ///
    /// # Errors
    ///
    /// When the socket has ended.
    pub async fn subscribe(&mut self, room: RoomId) -> Result<(), ClientError> {
        self.tell("messages.subscribe", room).await
    }

    /// Notes at the server that all rows of a room are read.
    ///
    /// # Errors
    ///
    /// When the socket has ended.
    pub async fn mark_read(&mut self, room: RoomId) -> Result<(), ClientError> {
        self.tell("messages.read", room).await
    }

    async fn tell(&mut self, kind: &str, room: RoomId) -> Result<(), ClientError> {
        let packet = json!({
            "type": kind, "data": { "chat_room_id": room }, "endpoint": ENDPOINT,
        });
        self.stream.feed(Message::text(packet.to_string())).await.map_err(ended)?;
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), ClientError> {
        let flushed = timeout(PATIENCE, self.stream.flush()).await;
        flushed.map_err(|_| ClientError::unreachable("the websocket takes nothing"))?.map_err(ended)
    }
}

fn ended(error: tokio_tungstenite::tungstenite::Error) -> ClientError {
    ClientError::unreachable(format!("the websocket ended: {error}"))
}

/// A packet; `None` for what is none, and for rows that are none.
fn understood(bytes: &[u8]) -> Option<Packet> {
    let PacketWire { kind, data } = serde_json::from_slice(bytes).ok()?;
    match kind.as_str() {
        "messages.new" => as_row(&data?).map(Box::new).map(Packet::Row),
        "e2ee.envelope" => as_envelope(&data?).ok().map(Packet::Envelope),
        "messages.typing" => {
            let TypingWire { room_id, sender } = serde_json::from_str(data?.get()).ok()?;
            Some(Packet::Typing { room: room_id, account: sender.account_id })
        }
        _ => Some(Packet::Other { name: kind.chars().take(64).collect() }),
    }
}
