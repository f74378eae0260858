//! Clients that read what comes.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use futures_util::StreamExt;
use tokio::{
    sync::Notify,
    task::{AbortHandle, JoinSet},
    time::{Duration, timeout},
};
use tokio_tungstenite::{connect_async, tungstenite::Message};

/// What stands before the number of a message, in its `client_message_id`.
pub(crate) const MARK: &str = "bench-";

/// Digits of the number, and how many numbers there are with that.
const DIGITS: usize = 5;
const NUMBERS: usize = 100_000;

/// The number of a message that is not measured.
pub(crate) const PROBE: usize = NUMBERS - 1;

/// The id of a message.
pub(crate) fn mark(number: usize) -> String {
    format!("{MARK}{number:05}")
}

/// The number in a frame.
fn number(frame: &[u8]) -> Option<usize> {
    let begin = frame.windows(MARK.len()).position(|part| part == MARK.as_bytes())?;
    let digits = frame.get(begin + MARK.len()..)?.get(..DIGITS)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// What arrived.
struct Board {
    clients: usize,
    /// At how many clients, by number.
    count: Vec<AtomicUsize>,
    /// At the last of them, by number.
    complete: Vec<Notify>,
    times: Mutex<Vec<(usize, Instant)>>,
    frame: Mutex<Vec<u8>>,
}

impl Board {
    fn note(&self, bytes: &[u8]) {
        let at = Instant::now();
        let Some(number) = number(bytes) else { return };
        if number == PROBE {
            *self.frame.lock().unwrap() = bytes.to_vec();
        }
        if number < super::PACED {
            self.times.lock().unwrap().push((number, at));
        }
        if self.count[number].fetch_add(1, Ordering::AcqRel) + 1 == self.clients {
            self.complete[number].notify_one();
        }
    }
}

/// Clients that read what comes, until this is dropped.
pub(crate) struct Readers {
    board: Arc<Board>,
    tasks: Vec<AbortHandle>,
}

impl Drop for Readers {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Readers {
    /// Connects one for each query.
    pub(crate) async fn connect(address: SocketAddr, queries: Vec<String>) -> Self {
        let board = Arc::new(Board {
            clients: queries.len(),
            count: (0..NUMBERS).map(|_| AtomicUsize::new(0)).collect(),
            complete: (0..NUMBERS).map(|_| Notify::new()).collect(),
            times: Mutex::default(),
            frame: Mutex::default(),
        });
        let mut opening = JoinSet::new();
        for query in queries {
            opening.spawn(async move {
                connect_async(format!("ws://{address}/ws{query}")).await.unwrap().0
            });
        }
        let mut tasks = Vec::new();
        while let Some(socket) = opening.join_next().await {
            let (mut socket, board) = (socket.unwrap(), board.clone());
            let task = tokio::spawn(async move {
                while let Some(Ok(frame)) = socket.next().await {
                    if let Message::Binary(bytes) = frame {
                        board.note(&bytes);
                    }
                }
            });
            tasks.push(task.abort_handle());
        }
        Self { board, tasks }
    }

    /// Waits until a message is at every client.
    pub(crate) async fn have(&self, number: usize) {
        let complete = self.board.complete[number].notified();
        timeout(Duration::from_secs(60), complete).await.expect("a message has not arrived");
    }

    /// The frame of the probe.
    pub(crate) fn frame(&self) -> Vec<u8> {
        self.board.frame.lock().unwrap().clone()
    }

    /// When each of the paced messages arrived at each client.
    pub(crate) fn times(&self) -> Vec<(usize, Instant)> {
        self.board.times.lock().unwrap().clone()
    }
}
