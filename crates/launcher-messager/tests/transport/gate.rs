//! A way to the server that can be shut at a chosen moment: what is sent
//! through it arrives up to there, and nothing after it does.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Notify,
    task::JoinSet,
};
use url::Url;

/// What is counted until the gate shuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Requests: the last one does not reach the server.
    Requests,
    /// Answers: the last one does not reach the client.
    Answers,
}

/// A gate in front of a server.
pub(crate) struct Gate {
    pub(crate) url: Url,
    counts: Arc<Counts>,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Counts {
    side: Side,
    left: AtomicUsize,
    is_shut: AtomicBool,
    shut: Notify,
}

impl Gate {
    /// One that shuts at so many requests or answers.
    pub(crate) async fn new(server: &Url, side: Side, after: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let counts = Arc::new(Counts {
            side,
            left: AtomicUsize::new(after),
            is_shut: AtomicBool::new(false),
            shut: Notify::new(),
        });
        let target = server.socket_addrs(|| None).unwrap()[0];
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, target, counts.clone()));
        Self { url, counts, _tasks: tasks }
    }

    /// Waits until it is shut.
    pub(crate) async fn shut(&self) {
        let shut = self.counts.shut.notified();
        if !self.counts.is_shut.load(Ordering::SeqCst) {
            shut.await;
        }
    }
}

impl Counts {
    /// Whether one more may pass.
    fn may_pass(&self, side: Side) -> bool {
        if self.is_shut.load(Ordering::SeqCst) {
            return false;
        }
        if side != self.side {
            return true;
        }
        let less = |left: usize| Some(left.saturating_sub(1));
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).unwrap();
        if left <= 1 {
            self.is_shut.store(true, Ordering::SeqCst);
            self.shut.notify_waiters();
        }
        left > 1
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, counts: Arc<Counts>) {
    let mut tasks = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let Ok(server) = TcpStream::connect(target).await else { continue };
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tasks.spawn(pass(from_client, to_server, Side::Requests, counts.clone()));
        tasks.spawn(pass(from_server, to_client, Side::Answers, counts.clone()));
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, side: Side, counts: Arc<Counts>) {
    let mut buffer = vec![0; 256 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if !counts.may_pass(side) {
            // Neither end hears of it: whoever waits, waits until it is killed.
            return std::future::pending().await;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
