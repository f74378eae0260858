//! As much of HTTP/1.1 as well-behaved peers on the loopback address need.

use std::{
    io::{self, BufRead, Read, Write},
    net::TcpStream,
};

/// The longest line that is read before a peer is given up.
const LINE_LIMIT: u64 = 64 * 1024;

/// Headers that are about one connection and not about the message.
const OF_THE_CONNECTION: [&str; 9] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A request or an answer with its whole body.
#[derive(Debug)]
pub(crate) struct Message {
    /// The three parts of the first line.
    pub(crate) start: [String; 3],
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether the peer goes on with this connection.
    pub(crate) keeps_alive: bool,
}

impl Message {
    /// An answer that no homeserver gave.
    pub(crate) fn answer(status: u16, headers: Vec<(String, String)>, body: Vec<u8>) -> Self {
        let start = ["HTTP/1.1".to_owned(), status.to_string(), "Tap".to_owned()];
        Self { start, headers, body, keeps_alive: true }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The status of an answer.
    pub(crate) fn status(&self) -> u16 {
        self.start[1].parse().unwrap_or_default()
    }

    /// The head for the next connection, which ends with an empty line.
    pub(crate) fn head(&self, skip: &[&str], length: Option<usize>) -> Vec<u8> {
        let mut head = format!("{}\r\n", self.start.join(" ").trim_end());
        for (name, value) in &self.headers {
            let lower = name.to_ascii_lowercase();
            if !OF_THE_CONNECTION.contains(&lower.as_str()) && !skip.contains(&lower.as_str()) {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        if let Some(length) = length {
            head.push_str(&format!("content-length: {length}\r\n"));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

/// Reads a request; none when the client has closed the connection after the
/// last one.
pub(crate) fn read_request(
    reader: &mut impl BufRead,
    mut client: &TcpStream,
) -> io::Result<Option<Message>> {
    if reader.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let (start, headers) = read_head(reader)?;
    if find(&headers, "expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
        client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let mut body = Vec::new();
    if is_chunked(&headers) {
        read_chunks(reader, &mut body)?;
    } else if let Some(length) = content_length(&headers)? {
        read_exactly(reader, length, &mut body)?;
    }
    let keeps_alive = start[2] == "HTTP/1.1" && !closes(&headers);
    Ok(Some(Message { start, headers, body, keeps_alive }))
}

/// Reads the answer to a request with this method.
pub(crate) fn read_response(reader: &mut impl BufRead, method: &str) -> io::Result<Message> {
    let (start, headers) = loop {
        let (start, headers) = read_head(reader)?;
        if !start[1].starts_with('1') {
            break (start, headers);
        }
    };
    let mut keeps_alive = start[0] == "HTTP/1.1" && !closes(&headers);
    let mut body = Vec::new();
    if !has_no_body(method, &start[1]) {
        if is_chunked(&headers) {
            read_chunks(reader, &mut body)?;
        } else if let Some(length) = content_length(&headers)? {
            read_exactly(reader, length, &mut body)?;
        } else {
            keeps_alive = false;
            reader.read_to_end(&mut body)?;
        }
    }
    Ok(Message { start, headers, body, keeps_alive })
}

/// Whether an answer ends with its head, whatever that says about a length.
pub(crate) fn has_no_body(method: &str, status: &str) -> bool {
    method == "HEAD" || status == "204" || status == "304"
}

type Head = ([String; 3], Vec<(String, String)>);

fn read_head(reader: &mut impl BufRead) -> io::Result<Head> {
    let first = read_line(reader)?;
    let mut parts = first.splitn(3, ' ').map(str::to_owned);
    let start = [(); 3].map(|()| parts.next().unwrap_or_default());
    let mut headers = Vec::new();
    loop {
        let line = read_line(reader)?;
        if line.is_empty() {
            return Ok((start, headers));
        }
        let (name, value) = line.split_once(':').ok_or(io::ErrorKind::InvalidData)?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
}

fn read_line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    reader.take(LINE_LIMIT).read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    String::from_utf8(line).map_err(|_| io::ErrorKind::InvalidData.into())
}

fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let line = read_line(reader)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(|_| io::ErrorKind::InvalidData)?;
        if size == 0 {
            while !read_line(reader)?.is_empty() {}
            return Ok(());
        }
        read_exactly(reader, size, body)?;
        read_line(reader)?;
    }
}

fn read_exactly(reader: &mut impl BufRead, length: u64, body: &mut Vec<u8>) -> io::Result<()> {
    let read = reader.take(length).read_to_end(body)?;
    if (read as u64) < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value.as_str()))
}

fn is_chunked(headers: &[(String, String)]) -> bool {
    find(headers, "transfer-encoding")
        .is_some_and(|value| value.to_ascii_lowercase().contains("chunked"))
}

fn closes(headers: &[(String, String)]) -> bool {
    find(headers, "connection").is_some_and(|value| value.to_ascii_lowercase().contains("close"))
}

fn content_length(headers: &[(String, String)]) -> io::Result<Option<u64>> {
    let Some(value) = find(headers, "content-length") else { return Ok(None) };
    value.parse().map(Some).map_err(|_| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunked_answer_is_read_whole_and_nothing_after_it() {
        let mut wire: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\
            Transfer-Encoding: chunked\r\n\r\n4\r\nwiki\r\n5;x=y\r\npedia\r\n0\r\n\r\nrest";
        let message = read_response(&mut wire, "GET").unwrap();
        assert_eq!((message.status(), message.body.as_slice()), (200, b"wikipedia".as_slice()));
        assert!(message.keeps_alive);
        assert_eq!(wire, b"rest");
    }

    #[test]
    fn an_answer_without_a_length_ends_with_its_connection() {
        let mut wire: &[u8] = b"HTTP/1.1 200 OK\r\n\r\nall of it";
        let message = read_response(&mut wire, "GET").unwrap();
        assert_eq!(message.body, b"all of it");
        assert!(!message.keeps_alive);
    }

    #[test]
    fn the_answer_to_head_has_no_body_whatever_its_length() {
        let mut wire: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
        assert_eq!(read_response(&mut wire, "HEAD").unwrap().body, b"");
    }

    #[test]
    fn half_a_body_is_an_error() {
        let mut wire: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
        let error = read_response(&mut wire, "GET").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_head_goes_on_without_what_was_for_its_connection() {
        let mut wire: &[u8] =
            b"HTTP/1.1 200 \r\nConnection: close\r\nX-Kept: a: b\r\nContent-Length: 0\r\n\r\n";
        let message = read_response(&mut wire, "GET").unwrap();
        let head = String::from_utf8(message.head(&[], Some(7))).unwrap();
        assert_eq!(head, "HTTP/1.1 200\r\nX-Kept: a: b\r\ncontent-length: 7\r\n\r\n");
    }
}
