//! Reads a room as the homeserver keeps it.

use serde_json::Value;

use crate::{TestbedError, http::Http};

/// How many events are read at a time.
const PAGE: usize = 100;

/// All events of a room that the owner of the token may see, the oldest first.
pub(super) fn read(http: &Http, token: &str, room_id: &str) -> Result<Vec<Value>, TestbedError> {
    let messages = format!("/_matrix/client/v3/rooms/{room_id}/messages?dir=b&limit={PAGE}");
    let mut path = messages.clone();
    let mut events = Vec::new();
    loop {
        let mut page = http.demand("GET", &path, Some(token), None)?;
        if let Value::Array(chunk) = page["chunk"].take() {
            events.extend(chunk);
        }
        let Some(next) = page["end"].as_str() else { break };
        path = format!("{messages}&from={next}");
    }
    events.reverse();
    Ok(events)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Write},
        net::TcpListener,
        thread,
    };

    use serde_json::json;

    use super::*;

    #[test]
    fn a_room_is_read_page_by_page_from_its_end_to_its_beginning() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let http = Http::new(format!("http://{}", listener.local_addr().unwrap()));
        let server = thread::spawn(move || {
            let pages = [
                json!({ "chunk": [{ "n": 4 }, { "n": 3 }], "end": "t2-3_4" }),
                json!({ "chunk": [{ "n": 2 }], "end": "t1" }),
                json!({ "chunk": [{ "n": 1 }] }),
            ];
            pages.map(|page| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut lines = BufReader::new(&stream).lines().map(Result::unwrap);
                let request = lines.next().unwrap();
                assert!(lines.take_while(|line| !line.is_empty()).count() > 0);
                let page = page.to_string();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}", page.len());
                write!(stream, "{head}\r\nConnection: close\r\n\r\n{page}").unwrap();
                request
            })
        });
        let events = read(&http, "token", "!r:x").unwrap();
        assert_eq!(events, [1, 2, 3, 4].map(|n| json!({ "n": n })));
        let first = "GET /_matrix/client/v3/rooms/!r:x/messages?dir=b&limit=100";
        let expected =
            [first.to_owned(), format!("{first}&from=t2-3_4"), format!("{first}&from=t1")];
        assert_eq!(server.join().unwrap(), expected.map(|path| format!("{path} HTTP/1.1")));
    }
}
