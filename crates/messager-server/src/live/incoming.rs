//! Packets that clients send.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use super::Hub;
use crate::{
    api::{Login, told, value_of},
    app::App,
    refusal::Refusal,
    rules::Ability,
    store::{Stop, accounts, members, sending, timeline, view::Viewer},
    values::{AccountId, Moment, RoomId},
    wire::{Packet, SendBody, Typing},
};

/// What clients call this service.
const ENDPOINT: &str = "DysonNetwork.Messager";

/// The one at the other end of a socket.
#[derive(Debug)]
pub(super) struct Client {
    pub app: Arc<App>,
    pub login: Login,
    /// By the headers of the upgrade.
    pub ability: Ability,
}

impl Client {
    /// Closes the sockets of the login, unless it still has a token. Gives whether
    /// it has.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it was done or not.
    pub(super) async fn close_unless_let_in(&self) -> bool {
        let Login { account, device } = self.login.clone();
        let look = move |connection: &rusqlite::Connection| {
            Ok(accounts::is_let_in(connection, account, &device)?)
        };
        // Whoever cannot be looked at is not let in, and connects again.
        let is_let_in = self.app.store.read(look).await.unwrap_or(false);
        if !is_let_in {
            self.app.hub.revoke(account, &self.login.device);
        }
        is_let_in
    }
}

/// What a packet is answered with, if it is.
pub(super) async fn answer(client: &Client, bytes: &[u8]) -> Option<Bytes> {
    let Ok(packet) = serde_json::from_slice::<Packet<Value>>(bytes) else {
        return Packet::error("Invalid packet: it is no JSON of a packet.").bytes().ok();
    };
    let data = packet.data.unwrap_or_default();
    let is_ours = packet.endpoint.as_deref() == Some(ENDPOINT);
    if is_ours && !client.close_unless_let_in().await {
        return None;
    }
    let done = match (packet.kind.as_str(), is_ours) {
        ("ping", _) => return Packet::bare("pong").bytes().ok(),
        ("messages.read", true) => read(client, &data).await,
        ("messages.typing", true) => typing(client, &data).await,
        ("messages.subscribe", true) => subscribe(client, &data, true).await,
        ("messages.unsubscribe", true) => subscribe(client, &data, false).await,
        ("messages.send", true) => return send(client, data).await,
        (kind, _) => {
            let kind: String = kind.chars().take(128).collect();
            return Packet::error(format!("Unprocessable packet: {kind}")).bytes().ok();
        }
    };
    done.err().and_then(|refusal| refused(&refusal, None))
}

fn refused(refusal: &Refusal, about: Option<Value>) -> Option<Bytes> {
    let (code, text) = told(refusal);
    let data = about.map(|id| json!({ "code": code, "client_message_id": id }));
    let packet = Packet { data, ..Packet::new("error", Value::Null) };
    Packet { error_message: Some(text), ..packet }.bytes().ok()
}

fn room(data: &Value) -> Result<RoomId, Refusal> {
    let id = data.get("chat_room_id").and_then(Value::as_str);
    id.and_then(|id| id.parse().ok()).ok_or(Refusal::bad("Invalid request data"))
}

fn member_only(refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::NotFound(_) | Refusal::Forbidden(_) => {
            Refusal::Forbidden("User is not a member of the chat room.")
        }
        other => other,
    }
}

async fn read(client: &Client, data: &Value) -> Result<(), Refusal> {
    let (room, account) = (room(data)?, client.login.account);
    client.app.may_send(account)?;
    let read = move |work: &mut crate::store::Work<'_>| members::read(work, room, account);
    client.app.store.write(read).await.map_err(member_only)
}

async fn subscribe(client: &Client, data: &Value, on: bool) -> Result<(), Refusal> {
    let (room, account) = (room(data)?, client.login.account);
    let check = move |connection: &rusqlite::Connection| members::me(connection, room, account);
    client.app.store.read(check).await.map_err(member_only)?;
    client.app.hub.look(room, account, on.then(|| Hub::looking_until(Moment::now())));
    Ok(())
}

async fn typing(client: &Client, data: &Value) -> Result<(), Refusal> {
    let (room, account) = (room(data)?, client.login.account);
    client.app.may_send(account)?;
    let look = move |connection: &rusqlite::Connection| -> Result<_, Stop> {
        let own = members::me(connection, room, account)?;
        let sender = Viewer::new(connection, None).member(own.id)?;
        Ok((timeline::active(connection, room)?, sender))
    };
    let (active, sender) = client.app.store.read(look).await.map_err(member_only)?;
    let hub = &client.app.hub;
    let looks = |other: &AccountId| *other != account && hub.is_subscribed(room, *other);
    let others: Vec<AccountId> = active.into_iter().filter(looks).collect();
    let typing = Typing { room_id: room, sender_id: sender.id, sender };
    if let Some(packet) = bytes_of("messages.typing", typing) {
        hub.send_to_accounts(&others, &packet);
    }
    Ok(())
}

fn bytes_of(kind: &str, data: impl Serialize) -> Option<Bytes> {
    Packet::new(kind, data).bytes().ok()
}

async fn send(client: &Client, data: Value) -> Option<Bytes> {
    let id = data.get("client_message_id").cloned().unwrap_or_default();
    let sent = async {
        let (room, account, ability) = (room(&data)?, client.login.account, client.ability);
        let body: SendBody = value_of(data)?;
        client.app.may_send(account)?;
        client.app.store.write(move |work| sending::send(work, room, account, ability, body)).await
    };
    match sent.await {
        Ok(message) => bytes_of("messages.delivered", message),
        Err(refusal) => refused(&refusal, Some(id)),
    }
}
