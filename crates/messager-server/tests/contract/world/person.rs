//! Somebody with a client.

use std::net::SocketAddr;

use messager_server::NewDevice;
use reqwest::{Client, Method, RequestBuilder, header::HeaderMap};
use serde_json::{Value, json};

use super::{PATIENCE, Socket, World};

/// Somebody with a client.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    http: Client,
    address: SocketAddr,
    /// Account and device; empty for a stranger.
    pub id: String,
    pub device: String,
    pub token: String,
    /// Whether the client says that it can encrypt.
    is_able: bool,
}

/// What the server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    /// The body, if the answer is good.
    #[track_caller]
    pub(crate) fn good(self) -> Value {
        assert!(self.status < 300, "{} {}", self.status, self.text);
        self.json()
    }

    /// The body.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// Sees that it is a refusal by a rule of encryption.
    #[track_caller]
    pub(crate) fn breaks(self, code: &str) {
        assert_eq!((self.status, self.json()["code"].as_str()), (409, Some(code)), "{}", self.text);
        assert!(self.json()["error"].is_string(), "{}", self.text);
    }

    /// Sees that it is a refusal with this status.
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text);
        self.text
    }
}

impl Person {
    pub(super) fn new(http: Client, address: SocketAddr, added: &NewDevice) -> Self {
        let (id, device) = (added.account_id.to_string(), added.device_id.to_string());
        let token = added.token.expose().to_owned();
        Self { http, address, id, device, token, is_able: true }
    }

    pub(super) fn stranger(http: Client, address: SocketAddr) -> Self {
        let (id, device, token) = Default::default();
        Self { http, address, id, device, token, is_able: true }
    }

    /// The same device, on another server of the same folder.
    pub(crate) fn on(&self, world: &World) -> Self {
        Self { address: world.address, ..self.clone() }
    }

    /// The same with a client that cannot encrypt.
    pub(crate) fn unable(&self) -> Self {
        Self { is_able: false, ..self.clone() }
    }

    /// A request with the token and the ability.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("http://{}{path}", self.address);
        let mut request = self.http.request(method, url).timeout(PATIENCE);
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if self.is_able {
            request = request.header("x-dyson-client-capabilities", "chat-e2ee-v1");
        }
        request
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        ask(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        ask(self.request(Method::POST, path).json(&body)).await
    }

    /// A POST without a body.
    pub(crate) async fn poke(&self, path: &str) -> Answer {
        ask(self.request(Method::POST, path)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        ask(self.request(Method::PUT, path).json(&body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        ask(self.request(Method::PATCH, path).json(&body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        ask(self.request(Method::DELETE, path)).await
    }

    pub(crate) async fn delete_with(&self, path: &str, body: Value) -> Answer {
        ask(self.request(Method::DELETE, path).json(&body)).await
    }

    /// Revokes the device, as whoever runs the server does.
    pub(crate) fn revoke(&self, world: &World, name: &str) {
        messager_server::revoke_device(world.folder.path(), name, &self.device).unwrap();
    }

    /// Opens a websocket.
    pub(crate) async fn connect(&self) -> Socket {
        self.connect_as("").await.unwrap()
    }

    /// Opens a websocket with something behind the token; the status if it is refused.
    pub(crate) async fn connect_as(&self, query: &str) -> Result<Socket, u16> {
        Socket::open(self.address, &self.token, query, self.is_able).await
    }

    /// Makes a group with these members.
    pub(crate) async fn group(&self, mode: i64, members: &[&Self]) -> String {
        let body = json!({ "name": "the group", "encryption_mode": mode });
        let room = id(&self.post("/api/chat", body).await.good());
        for member in members {
            self.bring(&room, member).await;
        }
        room
    }

    /// Invites somebody, who accepts.
    pub(crate) async fn bring(&self, room: &str, member: &Self) {
        let body = json!({ "related_user_id": member.id, "role": 0 });
        self.post(&format!("/api/chat/invites/{room}"), body).await.good();
        member.poke(&format!("/api/chat/invites/{room}/accept")).await.good();
    }

    /// Makes a direct chat, which the other accepts.
    pub(crate) async fn direct(&self, mode: i64, peer: &Self) -> String {
        let body = json!({ "related_user_id": peer.id, "encryption_mode": mode });
        let room = id(&self.post("/api/chat/direct", body).await.good());
        peer.poke(&format!("/api/chat/invites/{room}/accept")).await.good();
        room
    }

    /// Sends a message.
    pub(crate) async fn send(&self, room: &str, body: Value) -> Answer {
        self.post(&format!("/api/chat/{room}/messages"), body).await
    }

    /// Says something in a room that is not encrypted.
    pub(crate) async fn say(&self, room: &str, text: &str) -> Value {
        self.send(room, json!({ "content": text })).await.good()
    }

    /// Sends a voice clip with these fields beside it.
    pub(crate) async fn speak(&self, room: &str, fields: &[(&str, &str)]) -> Answer {
        let mut form = String::from(
            "--x\r\nContent-Disposition: form-data; name=\"File\"; filename=\"a\"\r\n\
             Content-Type: audio/ogg\r\n\r\nclip\r\n",
        );
        for (name, value) in fields {
            let head = format!("Content-Disposition: form-data; name=\"{name}\"");
            form.push_str(&format!("--x\r\n{head}\r\n\r\n{value}\r\n"));
        }
        let path = format!("/api/chat/{room}/messages/voice");
        let request = self.request(Method::POST, &path);
        let request = request.header("content-type", "multipart/form-data; boundary=x");
        ask(request.body(form + "--x--\r\n")).await
    }

    /// Reacts to a message.
    pub(crate) async fn react(&self, room: &str, message: &str) {
        let path = format!("/api/chat/{room}/messages/{message}/reactions");
        self.post(&path, json!({ "symbol": "heart", "attitude": 0 })).await.good();
    }

    /// The rows of a room that are newer than a moment, the oldest first.
    pub(crate) async fn rows(&self, room: &str, since: i64) -> Vec<Value> {
        let body = json!({ "last_sync_timestamp": since });
        let page = self.post(&format!("/api/chat/{room}/sync"), body).await.good();
        page["messages"].as_array().unwrap().clone()
    }

    /// One's own membership.
    pub(crate) async fn membership(&self, room: &str) -> Value {
        self.get(&format!("/api/chat/{room}/members/me")).await.good()
    }
}

/// Sends a request.
pub(crate) async fn ask(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, text: response.text().await.unwrap() }
}

/// The id of something.
#[track_caller]
pub(crate) fn id(value: &Value) -> String {
    value["id"].as_str().unwrap().to_owned()
}
