//! Connections: how many there are at once, and how long each may be slow.
//!
//! Whoever finds no place waits in the queue of the operating system until another
//! connection ends. That it ends is sure: one that sends no request, takes too long
//! for its headers or does not take its answer is closed.

use std::{io, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

use super::patient::Patient;
use crate::{app::Limits, live::Hub};

/// How long to wait when the system has no handle for another connection.
const PAUSE: Duration = Duration::from_millis(250);

/// The place of a connection. Dropped, there is one for another.
#[derive(Debug)]
pub(super) struct Place {
    hub: Arc<Hub>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    fn taken(hub: &Arc<Hub>, permit: OwnedSemaphorePermit) -> Self {
        hub.counts().connections.inc();
        Self { hub: hub.clone(), _permit: permit }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.hub.counts().connections.dec();
    }
}

/// Serves connections until `stopping`, and then those that have a request until
/// it is answered. Upgraded ones are not waited for.
///
/// # Cancel safety
///
/// Dropped, no connection is taken any more; those that are there go on.
pub(super) async fn serve(
    listener: TcpListener,
    (router, hub): (Router, Arc<Hub>),
    limits: Limits,
    stopping: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let connections = TaskTracker::new();
    loop {
        let next = async {
            // It is never closed.
            let Ok(permit) = places.clone().acquire_owned().await else {
                return std::future::pending().await;
            };
            (accept(&listener).await, Place::taken(&hub, permit))
        };
        let (stream, place) = tokio::select! {
            next = next => next,
            () = stopping.cancelled() => break,
        };
        let stream = Patient::new(stream, limits.patience, place);
        connections.spawn(converse(stream, router.clone(), limits, stopping.clone()));
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // Whoever called has hung up.
            Err(error) if is_theirs(&error) => {}
            Err(error) => {
                warn!(%error, "no connection can be taken");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn is_theirs(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn converse(stream: Patient, router: Router, limits: Limits, stopping: CancellationToken) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.patience)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    tokio::pin!(connection);
    // How a connection ends is no news: clients hang up as they like.
    tokio::select! {
        _ended = &mut connection => return,
        () = stopping.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ended = connection.await;
}
