use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use url::Url;

use super::*;
use crate::{
    media::{encrypt, encrypted_file},
    rest::http_client,
};

/// A server that says what it is told to, and remembers what it was asked.
struct Server {
    url: Url,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let heads = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let head: Vec<String> =
                    lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
                let head = head.join("\n").to_lowercase();
                heads.lock().unwrap().push(head.clone());
                // Whoever has enough goes away.
                stream.write_all(&answer(&head)).ok();
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    async fn fetch(
        &self,
        content: &Value,
        announced: Option<u64>,
        limit: u64,
    ) -> Result<Vec<u8>, Failed> {
        let rest = Rest::new(http_client().unwrap(), self.url.clone());
        let folder = tempfile::tempdir().unwrap();
        let source = Source::read(content).unwrap();
        let found = fetch(&rest, "token", source, announced, limit, folder.path()).await;
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "something is left");
        found
    }
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

fn whole(body: &[u8]) -> Vec<u8> {
    answer("200 OK", &format!("Content-Length: {}\r\n", body.len()), body)
}

fn plain() -> Value {
    json!({ "url": "mxc://hs.test/abc" })
}

const LIMIT: u64 = 10_000_000;

#[tokio::test]
async fn an_encrypted_file_arrives_as_it_was_sent_from_memory_and_from_a_disk() {
    for length in [0, 100, 9_000_000] {
        let bytes: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let (sealed, info) = encrypt(bytes.clone()).await.unwrap();
        let content = json!({ "file": encrypted_file("mxc://hs.test/abc", &info).unwrap() });
        let server = Server::start(move |_| whole(&sealed));
        assert!(server.fetch(&content, Some(length), LIMIT).await.unwrap() == bytes);
        let asked = server.asked();
        assert!(asked[0].starts_with("get /_matrix/client/v1/media/download/hs.test/abc?"));
        assert!(asked[0].contains("authorization: bearer token"), "{asked:?}");
    }
}

#[tokio::test]
async fn of_a_file_that_was_changed_not_a_byte_is_handed_on() {
    let (mut sealed, info) = encrypt(vec![7; 6_000_000]).await.unwrap();
    sealed[5_999_999] ^= 1;
    let content = json!({ "file": encrypted_file("mxc://hs.test/abc", &info).unwrap() });
    let server = Server::start(move |_| whole(&sealed));
    let found = server.fetch(&content, None, LIMIT).await;
    assert!(matches!(found, Err(Failed::For(FetchFault::Damaged { .. }))), "{found:?}");
}

#[tokio::test]
async fn a_file_that_is_said_to_be_too_large_is_not_asked_for() {
    let server = Server::start(|_| whole(b"x"));
    let found = server.fetch(&plain(), Some(11), 10).await;
    assert!(matches!(found, Err(Failed::For(FetchFault::TooLarge { limit: 10 }))));
    assert_eq!(server.asked(), [""; 0]);
}

#[tokio::test]
async fn a_file_is_too_large_by_what_the_server_says_and_by_what_it_gives() {
    // It says so, and the test would wait for the rest.
    let says = Server::start(|_| answer("200 OK", "Content-Length: 11\r\n", b"x"));
    // It says nothing, or not the truth.
    let gives = Server::start(|_| answer("200 OK", "", &[7; 100_000]));
    for server in [says, gives] {
        let found = server.fetch(&plain(), Some(1), 10).await;
        assert!(matches!(found, Err(Failed::For(FetchFault::TooLarge { limit: 10 }))), "{found:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_cut_off_is_no_file() {
    let server = Server::start(|_| answer("200 OK", "Content-Length: 100\r\n", b"only this"));
    let found = server.fetch(&plain(), None, LIMIT).await;
    assert!(matches!(found, Err(Failed::Passing { .. })), "{found:?}");
}

#[tokio::test]
async fn an_old_server_is_asked_in_the_old_way_without_a_token() {
    let server = Server::start(|head| match head.contains("/client/v1/") {
        true => answer("404 Not Found", "", br#"{"errcode":"M_UNRECOGNIZED"}"#),
        false => whole(b"old"),
    });
    assert_eq!(server.fetch(&plain(), None, LIMIT).await.unwrap(), b"old");
    let asked = server.asked();
    assert!(asked[1].starts_with("get /_matrix/media/v3/download/hs.test/abc?"), "{asked:?}");
    assert!(!asked[1].contains("authorization"), "{asked:?}");
}

#[tokio::test]
async fn another_server_that_has_the_file_gets_no_token() {
    let other = Server::start(|_| whole(b"there"));
    let there = format!("Location: {}cdn/abc?signed\r\n", other.url);
    let server = Server::start(move |_| answer("307 Temporary Redirect", &there, b""));
    assert_eq!(server.fetch(&plain(), None, LIMIT).await.unwrap(), b"there");
    assert!(server.asked()[0].contains("authorization"));
    let asked = other.asked();
    assert!(asked[0].starts_with("get /cdn/abc?signed"), "{asked:?}");
    assert!(!asked[0].contains("token"), "{asked:?}");
}

#[tokio::test]
async fn faults_are_told_apart() {
    let of = async |status: &'static str, body: &'static str| {
        let server = Server::start(move |_| answer(status, "", body.as_bytes()));
        server.fetch(&plain(), None, LIMIT).await.unwrap_err()
    };
    let gone = of("404 Not Found", r#"{"errcode":"M_NOT_FOUND"}"#).await;
    assert!(matches!(gone, Failed::For(FetchFault::Gone { .. })), "{gone:?}");
    let later = of("429 Too Many", r#"{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":5}"#).await;
    let wait = Some(Duration::from_millis(5));
    assert!(matches!(later, Failed::Passing { retry_after, .. } if retry_after == wait));
    let broken = of("502 Bad Gateway", "<html>").await;
    assert!(matches!(broken, Failed::Passing { .. }), "{broken:?}");
    let logged_out = of("401 Unauthorized", r#"{"errcode":"M_UNKNOWN_TOKEN"}"#).await;
    assert!(matches!(logged_out, Failed::Session(_)), "{logged_out:?}");
    let nobody = Server { url: "http://127.0.0.1:9".parse().unwrap(), asked: Arc::default() };
    let refused = nobody.fetch(&plain(), None, LIMIT).await;
    assert!(matches!(refused, Err(Failed::Passing { .. })), "{refused:?}");
}
