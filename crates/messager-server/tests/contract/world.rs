//! A server of its own for each test, people who talk to it, and what they hear.

mod person;
mod socket;

use std::{net::SocketAddr, time::Duration};

use messager_server::{RunError, Server, Settings};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};

pub(crate) use self::{
    person::{Answer, Person, ask, id},
    socket::Socket,
};

/// How long anything may take that a test waits for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A server in this process.
pub(crate) struct World {
    pub folder: TempDir,
    pub address: SocketAddr,
    http: reqwest::Client,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), RunError>>,
}

impl World {
    /// Starts one that limits nobody.
    pub(crate) async fn start() -> Self {
        Self::with(|settings| {
            settings.writes_per_minute = 1_000_000;
            settings.claims_per_minute = 1_000_000;
        })
        .await
    }

    /// Starts one with other settings.
    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::on(tempfile::tempdir().unwrap(), change).await
    }

    /// Starts one on a folder that is there.
    pub(crate) async fn on(folder: TempDir, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::in_folder(folder.path());
        change(&mut settings);
        let server = Server::open(settings).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let bound = server.bind(listener).unwrap();
        let (stop, stopped) = oneshot::channel();
        let address = bound.address();
        let stopped = async move { drop(stopped.await) };
        let serving = tokio::spawn(bound.run(stopped));
        Self { folder, address, http: reqwest::Client::new(), stop, serving }
    }

    /// Stops it as a signal would.
    pub(crate) async fn stop(self) -> TempDir {
        self.stop.send(()).unwrap();
        timeout(PATIENCE, self.serving).await.unwrap().unwrap().unwrap();
        self.folder
    }

    /// A device of an account, whose client can encrypt.
    pub(crate) fn person(&self, name: &str) -> Person {
        let added = messager_server::add_device(self.folder.path(), name, Some("test")).unwrap();
        Person::new(self.http.clone(), self.address, &added)
    }

    /// The tables, from the outside.
    pub(crate) fn tables(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.folder.path().join("messager.db")).unwrap()
    }

    /// Several people.
    pub(crate) fn people<const N: usize>(&self, names: [&str; N]) -> [Person; N] {
        names.map(|name| self.person(name))
    }

    /// Waits until a query on the tables gives a number.
    pub(crate) async fn holds(&self, sql: &str, wanted: i64) {
        let tables = self.tables();
        let held = async {
            loop {
                let found: i64 = tables.query_row(sql, [], |row| row.get(0)).unwrap();
                if found == wanted {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, held).await.unwrap_or_else(|_| panic!("never {wanted}: {sql}"));
    }

    /// A connection of which the test says each byte.
    pub(crate) async fn dial(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// One into which little fits that the test has not read.
    pub(crate) async fn dial_narrow(&self) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    /// Waits until the server counts so many of something: connections, sockets.
    pub(crate) async fn counts(&self, what: &str, wanted: i64) {
        let line = format!("messager_{what} {wanted}");
        let counted = async {
            loop {
                let text = self.stranger().get("/metrics").await.text;
                if text.lines().any(|found| found == line) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, counted).await.unwrap_or_else(|_| panic!("never: {line}"));
    }

    /// Somebody without an account.
    pub(crate) fn stranger(&self) -> Person {
        Person::stranger(self.http.clone(), self.address)
    }
}

/// A message of an encrypted room. Not JSON, and no key fits it.
pub(crate) fn sealed(kind: &str) -> Value {
    json!({
        "is_encrypted": true, "ciphertext": "AAEC/w==", "encryption_header": "aGVhZGVy",
        "encryption_signature": "c2ln", "encryption_scheme": "megolm.v1", "encryption_epoch": 3,
        "encryption_message_type": kind,
    })
}

/// The same with other fields.
pub(crate) fn with(mut body: Value, fields: Value) -> Value {
    if let (Value::Object(body), Value::Object(fields)) = (&mut body, fields) {
        body.extend(fields);
    }
    body
}

/// Gives a device keys.
pub(crate) async fn enroll(who: &Person) {
    let key = "A".repeat(42) + "A=";
    let signature = "A".repeat(84) + "AA==";
    let body = json!({
        "identity_key": key, "signed_pre_key": key, "signed_pre_key_signature": signature,
    });
    who.put("/api/e2ee/devices/me/bundle", body).await.good();
}

/// An envelope for each of these devices.
pub(crate) fn fanout(recipient: &Person, devices: &[&str]) -> Value {
    let payloads: Vec<Value> = devices
        .iter()
        .map(|device| json!({ "recipient_device_id": device, "ciphertext": "AAEC/w==" }))
        .collect();
    json!({ "recipient_account_id": recipient.id, "type": 1, "group_id": "g", "payloads": payloads })
}
