//! A server of its own for each test, and devices of accounts.

use std::{future::Future, net::SocketAddr, path::Path, time::Duration};

use launcher_core::secret::{PickleKey, Secret};
use launcher_messager::{
    client::{Client, Connections, Me},
    crypto::{Address, Machine},
};
use messager_server::{RunError, Server, Settings};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use url::Url;

/// How long anything may take that a test waits for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// When the tests of this binary take place, in milliseconds since 1970.
pub(crate) const NOW: u64 = 1_763_800_000_000;

/// A server in this process, which can be away for a while.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) connections: Connections,
    settings: Settings,
    address: SocketAddr,
    running: Option<Running>,
}

struct Running {
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), RunError>>,
}

/// A device with its client and its keys, and what it is at the server.
pub(crate) struct Device {
    pub(crate) client: Client,
    pub(crate) machine: Machine,
    pub(crate) me: Me,
    _folder: TempDir,
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
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::in_folder(folder.path());
        change(&mut settings);
        let (running, address) = run(&settings, "127.0.0.1:0".parse().unwrap()).await;
        let connections = Connections::new().unwrap();
        Self { folder, connections, settings, address, running: Some(running) }
    }

    /// The server goes away.
    pub(crate) async fn stop(&mut self) {
        let Running { stop, serving } = self.running.take().unwrap();
        stop.send(()).unwrap();
        soon(serving).await.unwrap().unwrap();
    }

    /// It comes back where it was.
    pub(crate) async fn come_back(&mut self) {
        self.running = Some(run(&self.settings, self.address).await.0);
    }

    /// Where it is.
    pub(crate) fn url(&self) -> Url {
        Url::parse(&format!("http://{}", self.address)).unwrap()
    }

    /// The folder of the server.
    pub(crate) fn data(&self) -> &Path {
        self.folder.path()
    }

    /// A new device of an account, which is made if there is none; its token.
    pub(crate) fn token(&self, name: &str) -> Secret<String> {
        let added = messager_server::add_device(self.data(), name, Some("test")).unwrap();
        Secret::new(added.token.expose().to_owned())
    }

    /// A client of a new device.
    pub(crate) fn client(&self, name: &str) -> Client {
        Client::new(&self.connections, self.url(), self.token(name))
    }

    /// A new device that has published its keys.
    pub(crate) async fn device(&self, name: &str) -> Device {
        let client = self.client(name);
        let me = client.me().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let address = Address::new(me.account, me.device.clone());
        let path = folder.path().join("crypto.db");
        let mut machine = Machine::create(&path, &key(), &address, NOW).unwrap();
        let upload = machine.upload(NOW).unwrap().unwrap();
        client.upload_bundle(&upload).await.unwrap();
        machine.uploaded(upload.mark, NOW).unwrap();
        Device { client, machine, me, _folder: folder }
    }
}

async fn run(settings: &Settings, address: SocketAddr) -> (Running, SocketAddr) {
    let server = Server::open(settings.clone()).unwrap();
    let bound = server.bind(TcpListener::bind(address).await.unwrap()).unwrap();
    let (stop, stopped) = oneshot::channel();
    let address = bound.address();
    let serving = tokio::spawn(bound.run(async move { drop(stopped.await) }));
    (Running { stop, serving }, address)
}

/// The key of all stores.
pub(crate) fn key() -> PickleKey {
    Secret::new([7; 32])
}

/// Waits for something that has to happen.
#[track_caller]
pub(crate) fn soon<T>(something: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(PATIENCE, something).await {
            Ok(happened) => happened,
            Err(_) => panic!("nothing happened at {caller}"),
        }
    }
}
