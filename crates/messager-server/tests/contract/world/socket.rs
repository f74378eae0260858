//! A websocket, as a client has it.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest},
};

use super::PATIENCE;

/// The code that a socket was closed with; none if it was cut off.
pub(crate) type Closed = Option<u16>;

/// A websocket, as a client has it.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Socket {
    pub(super) async fn open(
        address: SocketAddr,
        token: &str,
        query: &str,
        is_able: bool,
    ) -> Result<Self, u16> {
        let url = format!("ws://{address}/ws?tk={token}{query}");
        let mut request = url.into_client_request().unwrap();
        if is_able {
            let headers = request.headers_mut();
            headers.insert("x-dyson-client-capabilities", "chat-e2ee-v1".parse().unwrap());
        }
        match connect_async(request).await {
            Ok((stream, _)) => {
                let mut socket = Self { stream };
                // Registered: the server answers.
                socket.ping().await;
                Ok(socket)
            }
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(other) => panic!("{other}"),
        }
    }

    /// The next ping of the server, in which it asks whether anybody is there.
    pub(crate) async fn asked(&mut self) {
        loop {
            let frame = timeout(PATIENCE, self.stream.next()).await.expect("nothing came");
            if matches!(frame.unwrap().unwrap(), Message::Ping(_)) {
                return;
            }
        }
    }

    async fn ping(&mut self) {
        self.packet(json!({ "type": "ping" })).await;
        self.until("pong").await;
    }

    /// Sends a packet.
    pub(crate) async fn packet(&mut self, packet: Value) {
        self.raw(Message::text(packet.to_string())).await;
    }

    /// Sends a packet to the service.
    pub(crate) async fn tell(&mut self, kind: &str, data: Value) {
        let endpoint = "DysonNetwork.Messager";
        self.packet(json!({ "type": kind, "data": data, "endpoint": endpoint })).await;
    }

    /// Sends a frame.
    pub(crate) async fn raw(&mut self, frame: Message) {
        timeout(PATIENCE, self.stream.send(frame)).await.unwrap().unwrap();
    }

    /// The next packet, or how the socket was closed.
    pub(crate) async fn next(&mut self) -> Result<Value, Closed> {
        loop {
            let frame = timeout(PATIENCE, self.stream.next()).await.expect("nothing came");
            match frame {
                Some(Ok(Message::Binary(bytes))) => {
                    return Ok(serde_json::from_slice(&bytes).unwrap());
                }
                Some(Ok(Message::Close(frame))) => {
                    return Err(frame.map(|frame| frame.code.into()));
                }
                Some(Ok(Message::Text(text))) => panic!("packets are binary: {text}"),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    /// Waits for a packet of a kind; the ones before it are forgotten.
    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        loop {
            let packet = self.next().await.unwrap();
            if packet["type"] == kind {
                return packet;
            }
        }
    }

    /// The packets that have come. Whatever was sent before this is called and
    /// was for this socket is among them.
    pub(crate) async fn all(&mut self) -> Vec<Value> {
        self.packet(json!({ "type": "ping" })).await;
        let mut packets = Vec::new();
        loop {
            let packet = self.next().await.unwrap();
            if packet["type"] == "pong" {
                return packets;
            }
            packets.push(packet);
        }
    }
}
