//! Health and metrics, for those who watch the launcher: HTTP over TCP, without
//! a login. `docs/reference/metrics.md` has what is counted.
//!
//! Nothing here names a user, a room or a key, and nothing can be changed.

mod door;
mod metrics;
mod process;

use std::{convert::Infallible, future::pending, io, net::SocketAddr, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use launcher_core::acknowledgement::is_ready;
use launcher_runtime::{Order, StatusBoard, answers};
use serde::Serialize;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot, watch},
};
use tracing::{error, info};

use self::door::Door;
use crate::desk::Acknowledgements;

/// How long the supervisor may take to answer. Its turns take milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long until an address that could not be had is tried again.
const AGAIN: Duration = Duration::from_secs(2);

/// Connections at once at most. A few look every few seconds.
const MOST: usize = 64;

/// How long a connection may say nothing.
const SILENCE: Duration = Duration::from_secs(30);

/// The type of the text format (OpenMetrics 1.0).
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the listener tells about.
#[derive(Clone, Debug)]
pub struct Watched {
    /// How the agents are.
    pub board: StatusBoard,
    /// The supervisor's orders.
    pub orders: mpsc::Sender<Order>,
    /// Which parked agents somebody knows about.
    pub acknowledgements: Acknowledgements,
}

/// An address that listens and is not served yet.
#[derive(Debug)]
pub struct AdminListener {
    listener: TcpListener,
    address: SocketAddr,
}

impl AdminListener {
    /// Listens. Port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        process::note_start();
        info!(event = "listening", %address, "health and metrics are served");
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers for as long as it is polled. Connections that are left then are
    /// closed, as soon as nothing is being answered on them.
    async fn serve(self, watched: Watched) -> io::Result<()> {
        let (_open, closed) = oneshot::channel::<Infallible>();
        let dropped = async move { drop(closed.await) };
        let door = Door::new(self.listener, MOST, SILENCE);
        axum::serve(door, routes(watched)).with_graceful_shutdown(dropped).await
    }
}

/// Serves at the address that is wanted, and at another one when that changes.
/// Never ends: an address that cannot be had is told in the log and tried again,
/// and the agents go on.
pub async fn serve(
    mut listener: Option<AdminListener>,
    mut wanted: watch::Receiver<Option<SocketAddr>>,
    watched: Watched,
) {
    // The address that could not be had, which the log says once.
    let mut missing = None;
    loop {
        let serving = async {
            let Some(listener) = listener.take() else { return pending().await };
            let ended = listener.serve(watched.clone()).await;
            error!(?ended, "health and metrics are not served any more");
            pending().await
        };
        tokio::select! {
            () = serving => {}
            changed = wanted.changed() => if changed.is_err() {
                return pending().await;
            },
            () = tokio::time::sleep(AGAIN), if missing.is_some() => {}
        }
        let address = *wanted.borrow_and_update();
        listener = match address {
            None => None,
            Some(address) => match AdminListener::bind(address).await {
                Ok(listener) => Some(listener),
                Err(_) if missing == Some(address) => None,
                Err(error) => {
                    error!(
                        %address,
                        %error,
                        action = "free the address, or set another one as admin.listen",
                        "health and metrics are not served; the agents go on"
                    );
                    None
                }
            },
        };
        missing = address.filter(|_| listener.is_none());
    }
}

fn routes(watched: Watched) -> Router {
    Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(watched)
}

async fn health(State(watched): State<Watched>) -> Response {
    match answers(&watched.orders, PATIENCE).await {
        true => (StatusCode::OK, "ok\n").into_response(),
        false => {
            (StatusCode::SERVICE_UNAVAILABLE, "the supervisor does not answer\n").into_response()
        }
    }
}

/// Whether all agents are as they should be.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Readiness {
    ready: bool,
    /// Those that stand in the way, and the parked ones that are known about.
    agents: Vec<Unready>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Unready {
    id: String,
    state: &'static str,
    /// The code alone: the sentence behind it can name accounts and files.
    reason: Option<String>,
    acknowledged: bool,
}

async fn ready(State(watched): State<Watched>) -> Response {
    let readiness = readiness(&watched);
    let status = match readiness.ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(readiness)).into_response()
}

fn readiness(watched: &Watched) -> Readiness {
    let known = watched.acknowledgements.all();
    let mut agents = Vec::new();
    let mut all_ready = true;
    for status in watched.board.snapshot() {
        let (standing, known) = (&status.standing, known.get(&status.id));
        let acknowledged = known.is_some_and(|known| known.covers(standing));
        let ready = is_ready(standing, known);
        all_ready &= ready;
        if !ready || acknowledged {
            agents.push(Unready {
                id: status.id.to_string(),
                state: standing.state.as_str(),
                reason: standing.reason_code().map(ToOwned::to_owned),
                acknowledged,
            });
        }
    }
    Readiness { ready: all_ready, agents }
}

async fn metrics(State(watched): State<Watched>) -> Response {
    match metrics::text(&watched) {
        Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => {
            error!(%error, "the metrics could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
