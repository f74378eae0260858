//! The way to the homeserver.

use std::{
    io::{self, BufReader, Write},
    net::TcpStream,
    sync::Arc,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use super::{
    http1::{self, Message},
    sockets::{Incoming, Socket, Sockets},
};
use crate::TestbedError;

/// Where the homeserver answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// The host and the port.
    authority: String,
    /// What comes before every path, without a slash at the end.
    prefix: String,
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, TestbedError> {
        let wrong = || TestbedError::Unexpected {
            asked: "the address of a homeserver, http://127.0.0.1:8008".to_owned(),
            answer: url.into(),
        };
        let rest = url.strip_prefix("http://").ok_or_else(wrong)?.trim_end_matches('/');
        let (authority, prefix) = match rest.split_once('/') {
            Some((authority, prefix)) => (authority, format!("/{prefix}")),
            None => (rest, String::new()),
        };
        if authority.is_empty() {
            return Err(wrong());
        }
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        let port = if has_port { "" } else { ":80" };
        Ok(Self { authority: format!("{authority}{port}"), prefix })
    }
}

/// A connection to the homeserver.
#[derive(Debug)]
pub(super) struct Upstream {
    address: Address,
    socket: Socket,
    reader: BufReader<Incoming>,
}

/// Why there is no answer.
pub(super) enum NoAnswer {
    UpstreamGone,
    ClientGone,
}

impl From<io::Error> for NoAnswer {
    fn from(_: io::Error) -> Self {
        Self::UpstreamGone
    }
}

impl Upstream {
    pub(super) fn connect(address: Address, sockets: &Arc<Sockets>) -> io::Result<Self> {
        let socket = sockets.admit(TcpStream::connect(&address.authority)?)?;
        let reader = socket.reader();
        Ok(Self { address, socket, reader })
    }

    /// Whether another request can go this way.
    ///
    /// A connection on which something comes without a question is one that
    /// the homeserver has closed.
    pub(super) fn is_usable_for(&self, address: &Address) -> bool {
        let mut descriptors = [PollFd::new(self.socket.stream(), PollFlags::IN)];
        self.address == *address
            && self.reader.buffer().is_empty()
            && poll(&mut descriptors, Some(&Timespec::default())) == Ok(0)
    }

    /// Sends a request. No compression is asked for, so that rules and log can
    /// read the answer.
    pub(super) fn send(&mut self, request: &Message, body: &[u8]) -> io::Result<()> {
        let forwarded = Message {
            start: [
                request.start[0].clone(),
                format!("{}{}", self.address.prefix, request.start[1]),
                "HTTP/1.1".to_owned(),
            ],
            headers: request.headers.clone(),
            body: Vec::new(),
            keeps_alive: true,
        };
        let has_length = !body.is_empty() || request.header("content-length").is_some();
        let mut wire = format!("Host: {}\r\n\r\n", self.address.authority).into_bytes();
        let mut head =
            forwarded.head(&["host", "accept-encoding"], has_length.then_some(body.len()));
        head.truncate(head.len() - 2);
        head.append(&mut wire);
        head.extend_from_slice(body);
        self.socket.stream().write_all(&head)
    }

    /// Reads the answer; gives up when a client that only reads is gone.
    ///
    /// The homeserver finishes a write whether or not somebody waits for it, so
    /// its answer to one is awaited for the log.
    pub(super) fn receive(&mut self, method: &str, client: &Socket) -> Result<Message, NoAnswer> {
        if method == "GET" && is_first_to_go(client, &self.socket)? {
            return Err(NoAnswer::ClientGone);
        }
        Ok(http1::read_response(&mut self.reader, method)?)
    }
}

/// Waits until the homeserver says something, or the client is gone.
fn is_first_to_go(client: &Socket, upstream: &Socket) -> io::Result<bool> {
    loop {
        let mut descriptors = [
            PollFd::new(upstream.stream(), PollFlags::IN),
            PollFd::new(client.stream(), PollFlags::IN),
        ];
        match poll(&mut descriptors, None) {
            Ok(_) => return Ok(descriptors[0].revents().is_empty() && client.is_gone()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_a_port_and_perhaps_a_path() {
        let parse = |url| Address::parse(url).unwrap();
        let plain = parse("http://127.0.0.1:8008/");
        assert_eq!((plain.authority.as_str(), plain.prefix.as_str()), ("127.0.0.1:8008", ""));
        let long = parse("http://localhost/behind/a/proxy");
        assert_eq!(
            (long.authority.as_str(), long.prefix.as_str()),
            ("localhost:80", "/behind/a/proxy")
        );
        assert!(Address::parse("https://127.0.0.1").is_err());
        assert!(Address::parse("http:///").is_err());
    }
}
