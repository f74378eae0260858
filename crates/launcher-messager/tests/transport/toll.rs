//! A way to the server at which one request is held until it is let go.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{
        TcpListener,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Semaphore,
    task::JoinSet,
};
use url::Url;

use crate::world::soon;

/// A way with a bar across it.
pub(crate) struct Toll {
    pub(crate) url: Url,
    bar: Arc<Bar>,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Bar {
    /// What stands in the request that is held.
    words: &'static str,
    was_there: AtomicBool,
    held: Semaphore,
    open: Semaphore,
}

impl Toll {
    /// One that holds the first request with these words in it.
    pub(crate) async fn new(server: &Url, words: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let (held, open) = (Semaphore::new(0), Semaphore::new(0));
        let bar = Arc::new(Bar { words, was_there: AtomicBool::new(false), held, open });
        let target = server.socket_addrs(|| None).unwrap()[0];
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, target, bar.clone()));
        Self { url, bar, _tasks: tasks }
    }

    /// Waits until the request is there.
    pub(crate) async fn held(&self) {
        soon(self.bar.held.acquire()).await.unwrap().forget();
    }

    /// Lets it go on.
    pub(crate) fn let_go(&self) {
        self.bar.open.add_permits(1);
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, bar: Arc<Bar>) {
    let mut tasks = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let Ok(server) = tokio::net::TcpStream::connect(target).await else { continue };
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tasks.spawn(pass(from_client, to_server, bar.clone()));
        tasks.spawn(give_back(from_server, to_client));
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, bar: Arc<Bar>) {
    let mut buffer = vec![0; 256 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let is_it = memchr::memmem::find(&buffer[..length], bar.words.as_bytes()).is_some();
        if is_it && !bar.was_there.swap(true, Ordering::SeqCst) {
            bar.held.add_permits(1);
            bar.open.acquire().await.unwrap().forget();
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

async fn give_back(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    drop(copy(&mut from, &mut to).await);
}
