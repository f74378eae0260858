//! A server: opened, bound, run.

mod listening;
mod patient;
mod upkeep;

use std::{future::Future, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use fs_err::File;
use reqwest::Url;
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::{
    account::{self, AddError, NewDevice},
    api,
    app::{App, Limits},
    live::Hub,
    previews::{self, Fetcher, Preview},
    push::{self, Push},
    rates::Rates,
    store::{Folder, Later, OpenError, Store, Thread},
};

/// How long requests and sockets may take to end when the server stops.
const GRACE: Duration = Duration::from_secs(10);

/// How long pushes and previews may take then. A webhook that fails is tried for
/// longer than anybody waits for a stop.
const LATER: Duration = Duration::from_secs(2);

/// How a server is to be.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder with everything that is kept. Made if it is not there.
    pub data: PathBuf,
    /// Where each push is sent to as the JSON of a POST; without it nowhere.
    pub push_webhook: Option<Url>,
    /// Whether links in messages that are not encrypted are looked at.
    pub link_previews: bool,
    /// How often an account may write in a minute: messages, rooms, envelopes, keys.
    pub writes_per_minute: u32,
    /// How often an account may take one-time keys of another in a minute.
    pub claims_per_minute: u32,
    /// How long envelopes stay that were acknowledged, have expired, or are for a
    /// device that was revoked for good; and one-time keys that were claimed.
    pub keep: Duration,
    /// Connections at once; three quarters of them can be websockets. Whoever finds
    /// no place waits for one. At least 4.
    pub connections: usize,
    /// How long a client may take for the headers of a request, for a request as a
    /// whole, and for taking the next part of what is sent to it.
    pub patience: Duration,
    /// How long a websocket may say nothing before it is asked whether it is still
    /// there, and then again before it is closed.
    pub keepalive: Duration,
}

impl Settings {
    /// 6,000 writes and 300 claims a minute, no pushes and no previews; what is done
    /// with is kept for 30 days; 4,096 connections, 30 s of patience, and 60 s for a
    /// websocket.
    pub fn in_folder(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            push_webhook: None,
            link_previews: false,
            writes_per_minute: 6_000,
            claims_per_minute: 300,
            keep: Duration::from_secs(30 * 24 * 60 * 60),
            connections: 4096,
            patience: Duration::from_secs(30),
            keepalive: Duration::from_secs(60),
        }
    }
}

/// Why a server ended by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The thread that writes is gone: see the log for the panic.
    #[error("the thread that writes has ended")]
    Halted,
}

/// A server that has its folder for itself, and serves nobody yet.
#[derive(Debug)]
pub struct Server {
    settings: Settings,
    folder: Folder,
    lock: File,
}

impl Server {
    /// Opens a folder, and keeps every other server off it.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn open(settings: Settings) -> Result<Self, OpenError> {
        let folder = Folder::prepare(&settings.data)?;
        let lock = folder.lock()?;
        Ok(Self { settings, folder, lock })
    }

    /// As [`add_device`](crate::add_device).
    ///
    /// # Errors
    ///
    /// See [`AddError`].
    pub fn add_device(&self, name: &str, label: Option<&str>) -> Result<NewDevice, AddError> {
        account::add(&self.folder, name, label)
    }

    /// Takes what it is to listen on.
    ///
    /// # Errors
    ///
    /// When the tables cannot be opened, or the address cannot be told.
    pub fn bind(self, listener: TcpListener) -> Result<Bound, OpenError> {
        let address = listener
            .local_addr()
            .map_err(|source| OpenError::Folder { folder: self.settings.data.clone(), source })?;
        let (pushes, push_queue) = mpsc::channel(push::QUEUE);
        let hub = Arc::new(Hub::default());
        let (previews, preview_queue) = mpsc::channel(previews::QUEUE);
        let fetcher = self.settings.link_previews.then(Fetcher::new).transpose();
        let fetcher = fetcher.map_err(OpenError::Client)?;
        let pushes = self.settings.push_webhook.is_some().then_some(pushes);
        let later = Later { pushes, previews: fetcher.is_some().then_some(previews) };
        let (store, thread) = Store::start(self.folder.connections(), hub.clone(), later)?;
        let limits = Limits {
            connections: self.settings.connections.max(4),
            patience: self.settings.patience,
            keepalive: self.settings.keepalive,
        };
        let app = App {
            limits,
            store,
            hub,
            sends: Rates::new(self.settings.writes_per_minute),
            claims: Rates::new(self.settings.claims_per_minute),
            sockets: TaskTracker::new(),
        };
        let app = Arc::new(app);
        let queues = (push_queue, preview_queue);
        Ok(Bound { server: self, listener, address, app, thread, queues, fetcher })
    }
}

/// A server that listens.
#[derive(Debug)]
pub struct Bound {
    server: Server,
    listener: TcpListener,
    address: SocketAddr,
    app: Arc<App>,
    thread: Thread,
    queues: (mpsc::Receiver<Push>, mpsc::Receiver<Preview>),
    fetcher: Option<Fetcher>,
}

impl Bound {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// As [`add_device`](crate::add_device).
    ///
    /// # Errors
    ///
    /// See [`AddError`].
    pub fn add_device(&self, name: &str, label: Option<&str>) -> Result<NewDevice, AddError> {
        self.server.add_device(name, label)
    }

    /// Serves until `stop` ends. Then requests that are under way are answered,
    /// websockets are closed with 1001, and what was answered is on the disk
    /// when this returns; all that within 12 s.
    ///
    /// # Errors
    ///
    /// When it cannot go on by itself.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing that was answered is lost; requests and sockets are cut off.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) -> Result<(), RunError> {
        let Self { server, listener, address, app, thread, queues, fetcher } = self;
        info!(event = "listening", %address, "messager serves");
        let Thread { handle, mut ended } = thread;
        let stopping = CancellationToken::new();
        let serves = (api::router(app.clone()), app.hub.clone());
        let serving = listening::serve(listener, serves, app.limits, stopping.clone());
        let webhook = server.settings.push_webhook.clone();
        let later = async {
            let pushing = push::run(webhook, queues.0, app.hub.counts());
            tokio::join!(pushing, previews::run(fetcher, queues.1, &app));
        };
        let upkeep = upkeep::run(&app.store, server.settings.keep);
        tokio::pin!(serving, later, stop, upkeep);
        // Without a webhook and without previews it is done at once.
        let mut is_done = false;
        loop {
            tokio::select! {
                () = &mut stop => break,
                // It ends when it is told to.
                () = &mut serving => break,
                _ = &mut ended => return Err(RunError::Halted),
                () = &mut later, if !is_done => is_done = true,
                never = &mut upkeep => match never {},
            }
        }
        info!("messager stops");
        stopping.cancel();
        app.hub.stop();
        app.sockets.close();
        let ending = async {
            tokio::join!(&mut serving, app.sockets.wait());
            app.store.close();
            let joined = tokio::task::spawn_blocking(|| handle.join()).await;
            // The rest ends when the thread that writes has let go of the queues.
            if !is_done && tokio::time::timeout(LATER, &mut later).await.is_err() {
                warn!("pushes or previews were given up");
            }
            joined.ok().and_then(Result::ok).ok_or(RunError::Halted)
        };
        let outcome = tokio::time::timeout(GRACE + LATER, ending).await;
        drop(server.lock);
        outcome.unwrap_or_else(|_| {
            warn!("requests or sockets were cut off");
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
