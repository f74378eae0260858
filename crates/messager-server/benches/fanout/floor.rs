//! Axum alone: a POST puts a frame into the line of each socket and is answered.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    extract::{
        Path, State,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    response::Response,
    routing::{get, post},
};
use bytes::Bytes;
use tokio::{net::TcpListener, sync::mpsc};

use super::{
    Seen, Subject, measure,
    readers::{MARK, Readers, mark},
};

#[derive(Clone)]
struct Lines {
    frame: Arc<Vec<u8>>,
    open: Arc<Mutex<Vec<mpsc::Sender<Bytes>>>>,
    count: Arc<AtomicUsize>,
}

async fn connect(State(lines): State<Lines>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|socket| serve(socket, lines))
}

async fn serve(mut socket: WebSocket, lines: Lines) {
    let (sender, mut line) = mpsc::channel(1024);
    lines.open.lock().unwrap().push(sender);
    lines.count.fetch_add(1, Ordering::Release);
    while let Some(frame) = line.recv().await {
        if socket.send(Message::Binary(frame)).await.is_err() {
            return;
        }
    }
}

/// The frame with another number goes to all. What finds no place is dropped.
async fn hand_on(State(lines): State<Lines>, Path(number): Path<usize>, body: Bytes) -> Bytes {
    let mut frame = lines.frame.to_vec();
    let begin = frame.windows(MARK.len()).position(|part| part == MARK.as_bytes()).unwrap();
    let mark = mark(number);
    frame[begin..begin + mark.len()].copy_from_slice(mark.as_bytes());
    let frame = Bytes::from(frame);
    for line in lines.open.lock().unwrap().iter() {
        drop(line.try_send(frame.clone()));
    }
    body
}

#[derive(Clone)]
struct Floor {
    http: reqwest::Client,
    url: String,
}

impl Subject for Floor {
    async fn send(&self, number: usize) {
        let request = self.http.post(format!("{}/send/{number}", self.url));
        let answer = request.body("A".repeat(600)).send().await.unwrap();
        answer.bytes().await.unwrap();
    }
}

/// Measures with frames that look like this one.
pub(crate) async fn run(clients: usize, frame: Vec<u8>) -> Seen {
    let lines = Lines { frame: Arc::new(frame), open: Arc::default(), count: Arc::default() };
    let router = Router::new()
        .route("/ws", get(connect))
        .route("/send/{number}", post(hand_on))
        .with_state(lines.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });
    let readers = Readers::connect(address, vec![String::new(); clients]).await;
    let readers = Arc::new(readers);
    while lines.count.load(Ordering::Acquire) < clients {
        tokio::task::yield_now().await;
    }
    let floor = Floor { http: reqwest::Client::new(), url: format!("http://{address}") };
    let seen = measure(floor, &readers).await;
    serving.abort();
    seen
}
