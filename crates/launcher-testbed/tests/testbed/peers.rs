//! A client and a homeserver that only just speak HTTP.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use launcher_testbed::tap::Gate;
use serde_json::{Value, json};

/// Tells where a request came from and what it was; but
///
/// - `/poll` is answered when the server is told to,
/// - `/chunked` is answered in chunks,
/// - `/login` is answered with a token,
/// - `/abort` is not answered at all.
pub(super) struct Server {
    pub(super) base_url: String,
    pub(super) polls: Gate,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    requests: Mutex<Vec<String>>,
    connections: AtomicUsize,
    gone: AtomicUsize,
}

impl Server {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let server = Self { base_url, polls: Gate::new(), shared: Arc::default() };
        let (shared, polls) = (Arc::clone(&server.shared), server.polls.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (shared, polls) = (Arc::clone(&shared), polls.clone());
                let number = shared.connections.fetch_add(1, Ordering::SeqCst) + 1;
                thread::spawn(move || shared.serve(&stream.unwrap(), number, &polls));
            }
        });
        server
    }

    /// The requests that arrived, `PUT /path body`.
    pub(super) fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// How many connections there ever were.
    pub(super) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many pollers went away before they were answered.
    pub(super) fn gone(&self) -> usize {
        self.shared.gone.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn serve(&self, stream: &TcpStream, connection: usize, polls: &Gate) {
        let mut reader = BufReader::new(stream);
        while let Ok(Some((start, headers, body))) = read_message(&mut reader) {
            let (method, rest) = start.split_once(' ').unwrap();
            let path = rest.split(' ').next().unwrap();
            let body = String::from_utf8(body).unwrap();
            self.requests.lock().unwrap().push(format!("{method} {path} {body}").trim().to_owned());
            let answer = match path {
                "/abort" => return drop(stream.shutdown(Shutdown::Both)),
                "/login" => {
                    json!({ "access_token": "s3cret", "user_id": "@a:x", "device_id": "D" })
                }
                _ => json!({
                    "connection": connection, "method": method, "path": path, "body": body,
                    "host": headers["host"],
                }),
            };
            while path == "/poll" && !polls.is_open() {
                if is_closed(stream) {
                    self.gone.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                thread::sleep(Duration::from_millis(2));
            }
            let answer = answer.to_string();
            let wire = if path == "/chunked" {
                let (first, second) = answer.split_at(5);
                format!(
                    "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
                    first.len(),
                    second.len()
                )
            } else {
                format!("Content-Length: {}\r\n\r\n{answer}", answer.len())
            };
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
            if (&*stream).write_all(format!("{head}{wire}").as_bytes()).is_err() {
                return;
            }
        }
    }
}

/// A connection of a client.
pub(super) struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    pub(super) fn connect(base_url: &str) -> Self {
        let stream = TcpStream::connect(base_url.strip_prefix("http://").unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { reader: BufReader::new(stream) }
    }

    /// Sends a request without waiting for the answer.
    pub(super) fn send(&mut self, method: &str, path: &str, body: &str) {
        let length = body.len();
        let wire = format!(
            "{method} {path} HTTP/1.1\r\nHost: tap\r\nAuthorization: Bearer t0ken\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        self.reader.get_mut().write_all(wire.as_bytes()).unwrap();
    }

    /// Reads an answer: the status, the headers and the JSON.
    pub(super) fn receive(&mut self) -> io::Result<(u16, BTreeMap<String, String>, Value)> {
        let message = read_message(&mut self.reader)?;
        let (start, headers, body) = message.ok_or(io::ErrorKind::ConnectionAborted)?;
        let status = start.split(' ').nth(1).unwrap().parse().unwrap();
        Ok((status, headers, serde_json::from_slice(&body).unwrap_or_default()))
    }

    /// Sends a request and reads the JSON of its answer.
    pub(super) fn ask(&mut self, method: &str, path: &str, body: &str) -> io::Result<Value> {
        self.send(method, path, body);
        Ok(self.receive()?.2)
    }

    pub(super) fn get(&mut self, path: &str) -> io::Result<Value> {
        self.ask("GET", path, "")
    }

    /// Whether any byte of an answer has arrived.
    pub(super) fn has_received_anything(&mut self) -> bool {
        let stream = self.reader.get_mut();
        stream.set_nonblocking(true).unwrap();
        let peeked = stream.peek(&mut [0]);
        stream.set_nonblocking(false).unwrap();
        matches!(peeked, Ok(1..)) || !self.reader.buffer().is_empty()
    }
}

type Message = (String, BTreeMap<String, String>, Vec<u8>);

/// None at the end of the connection.
fn read_message(reader: &mut impl BufRead) -> io::Result<Option<Message>> {
    let mut start = String::new();
    if reader.read_line(&mut start)? == 0 {
        return Ok(None);
    }
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some((start.trim().to_owned(), headers, body)))
}

fn is_closed(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    matches!(peeked, Ok(0))
}
