//! Messager: a group with sender keys, and as many members as are connected.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use messager_server::{Server, Settings};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot};

use super::{
    Seen, Subject, measure,
    readers::{PROBE, Readers, mark},
};

#[derive(Clone)]
struct Room {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Room {
    async fn post(&self, path: &str, token: &str, body: Value) -> Value {
        let request = self.http.post(format!("{}{path}", self.url)).bearer_auth(token).json(&body);
        let request = request.header("x-dyson-client-capabilities", "chat-e2ee-v1");
        let answer = request.send().await.unwrap().error_for_status().unwrap();
        answer.json().await.unwrap()
    }
}

impl Subject for Room {
    async fn send(&self, number: usize) {
        let body = json!({
            "client_message_id": mark(number), "is_encrypted": true, "ciphertext": "A".repeat(400),
            "encryption_scheme": "megolm.v1", "encryption_message_type": "content.new",
        });
        self.post("/messages", &self.token, body).await;
    }
}

/// Measures, and gives a frame as the clients get it.
pub(crate) async fn run(clients: usize) -> (Seen, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let limits = 100_000_000;
    let settings = Settings {
        writes_per_minute: limits,
        claims_per_minute: limits,
        ..Settings::in_folder(folder.path())
    };
    let server = Server::open(settings).unwrap();
    let owner = server.add_device("owner", None).unwrap();
    let names = (0..clients).map(|number| format!("member-{number}"));
    let members: Vec<String> = names
        .map(|name| server.add_device(&name, None).unwrap().token.expose().to_owned())
        .collect();
    let bound = server.bind(TcpListener::bind("127.0.0.1:0").await.unwrap()).unwrap();
    let address: SocketAddr = bound.address();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(bound.run(async move { drop(stopped.await) }));
    let mut room = Room {
        http: reqwest::Client::new(),
        url: format!("http://{address}/api/chat"),
        token: owner.token.expose().to_owned(),
    };
    let body = json!({ "name": "bench", "encryption_mode": 2, "is_community": true });
    let made = room.post("", &room.token, body).await;
    room.url = format!("{}/{}", room.url, made["id"].as_str().unwrap());
    for token in &members {
        room.post("/members/me", token, json!({})).await;
    }
    let queries = members.iter().map(|token| format!("?tk={token}")).collect();
    let readers = Arc::new(Readers::connect(address, queries).await);
    let online = format!("{}/members/online", room.url);
    loop {
        let request = room.http.get(&online).bearer_auth(&room.token);
        let answer = request.send().await.unwrap().json::<usize>().await.unwrap();
        if answer == clients {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    room.send(PROBE).await;
    readers.have(PROBE).await;
    let frame = readers.frame();
    let seen = measure(room, &readers).await;
    drop(readers);
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
    (seen, frame)
}
