//! One connection: a question, and its answer in chunks.

use std::{
    io::{self, Write},
    net::{Shutdown, TcpStream},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    Format, ModelCall, POLL, Reply, Shared,
    reply::{Chunks, End},
    wire,
};
use crate::tap::{http1, sockets::Socket};

/// How much of a long line is sent at once.
const BLOCK: usize = 64 * 1024;

/// How long to wait between two drops.
const DROP: Duration = Duration::from_millis(20);

/// Answers what comes on this connection, which is one question.
pub(super) fn serve(shared: &Shared, client: TcpStream) {
    let Ok(socket) = shared.sockets.admit(client) else { return };
    let Ok(Some(message)) = http1::read_request(&mut socket.reader(), socket.stream()) else {
        return;
    };
    let [method, path, _] = message.start;
    let format = Format::of(&path).filter(|_| method == "POST");
    let body: Option<Value> = serde_json::from_slice(&message.body).ok();
    let (Some(format), Some(body)) = (format, body) else {
        drop(whole(&socket, 404, "text/plain", &[], "there is no model here"));
        return;
    };
    let call = ModelCall::read(format, path, message.headers, body);
    let question = call.asked.clone();
    let (number, reply) = shared.take(call);
    let mut answer = Answer { shared, socket: &socket, reply: &reply, sent: 0 };
    let result = answer.send(format, &question);
    shared.finish(number, |call| match result {
        Ok(()) => call.answered = true,
        Err(_) => call.hung_up = !shared.sockets.is_closed(),
    });
}

struct Answer<'a> {
    shared: &'a Shared,
    socket: &'a Socket,
    reply: &'a Reply,
    sent: usize,
}

impl Answer<'_> {
    fn send(&mut self, format: Format, question: &str) -> io::Result<()> {
        match &self.reply.end {
            End::Nothing => return self.socket.stream().shutdown(Shutdown::Both),
            End::Refused(refusal) => {
                let (status, headers, body) = wire::refused(format, *refusal, question);
                let body = body.to_string();
                return whole(self.socket, status, "application/json", &headers, &body);
            }
            End::Raw { status, content_type, body, headers } => {
                return whole(self.socket, *status, content_type, headers, body);
            }
            _ => {}
        }
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {}\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n",
            wire::content_type(format)
        );
        self.write(head.as_bytes())?;
        let events = wire::events(format, self.reply, question);
        let crlf = self.reply.crlf || format == Format::Gemini;
        let events = events.into_iter().map(|event| match crlf {
            true => event.replace('\n', "\r\n").into_bytes(),
            false => event.into_bytes(),
        });
        match self.reply.chunks {
            Chunks::Events => events.into_iter().try_for_each(|event| self.chunk(&event))?,
            Chunks::Bytes(size) => {
                let bytes: Vec<u8> = events.flatten().collect();
                bytes.chunks(size.max(1)).try_for_each(|chunk| self.chunk(chunk))?;
            }
        }
        self.end(format)
    }

    fn end(&mut self, format: Format) -> io::Result<()> {
        match self.reply.end {
            End::Cut => {
                self.chunk(b"data: {\"half")?;
                self.socket.stream().shutdown(Shutdown::Both)
            }
            End::Silence => loop {
                self.wait(POLL)?;
            },
            End::Drip => loop {
                self.wait(DROP)?;
                self.chunk(if format == Format::Ollama { b"\n" } else { b": \n\n" })?;
            },
            End::Line(length) => {
                self.chunk(b"data: ")?;
                let block = vec![b'x'; BLOCK];
                for _ in 0..length.div_ceil(BLOCK) {
                    self.chunk(&block)?;
                }
                self.write(b"0\r\n\r\n")
            }
            _ => self.write(b"0\r\n\r\n"),
        }
    }

    fn chunk(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some((after, gate)) = &self.reply.gate
            && *after == self.sent
        {
            while !gate.wait(POLL) {
                self.wait(Duration::ZERO)?;
            }
        }
        self.wait(self.reply.pause)?;
        self.sent += 1;
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.write(&chunk)
    }

    /// Waits, unless one of the two sides goes meanwhile.
    fn wait(&self, pause: Duration) -> io::Result<()> {
        let end = Instant::now() + pause;
        loop {
            if self.shared.sockets.is_closed() || self.socket.is_gone() {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(POLL));
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut stream = self.socket.stream();
        stream.write_all(bytes)
    }
}

fn whole(
    socket: &Socket,
    status: u16,
    content_type: &str,
    headers: &[(String, String)],
    body: &str,
) -> io::Result<()> {
    let mut answer = format!(
        "HTTP/1.1 {status} Answer\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\nconnection: close\r\n",
        body.len()
    );
    for (name, value) in headers {
        answer.push_str(&format!("{name}: {value}\r\n"));
    }
    answer.push_str("\r\n");
    answer.push_str(body);
    let mut stream = socket.stream();
    stream.write_all(answer.as_bytes())
}
