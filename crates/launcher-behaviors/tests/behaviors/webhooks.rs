//! A URL that answers, or does not.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use launcher_behaviors::Webhook;
use launcher_core::{
    conversation::{Message, MessageKind},
    secret::Secret,
    spec::{BehaviorSpec, WebhookSpec},
};
use launcher_runtime::ports::{Action, Behavior as _, Response};
use libtest_mimic::Trial;

use crate::{
    agents::{agent, message},
    case,
    props::Props,
};

pub(crate) fn cases() -> Vec<Trial> {
    vec![
        case("a message is posted, signed, and what comes back is said", answered),
        case("what can be answered later is posted again under the same id", retried),
        case("an answer that stops in the middle is not waited for", stalled),
        case("what is final is told in the room", refused),
        case("an address that is not there is a failure that can be tried again", unreached),
    ]
}

/// An answer that ends so stops there, and the connection stays.
const STALLS: &str = "…";

/// A request, as it came.
#[derive(Clone)]
struct Request {
    head: String,
    body: String,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

/// Gives these answers, one after the other, and then the last one again.
struct Server {
    address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    fn answering(answers: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/hook?key=s3cret", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::<Request>::new()));
        let answers: Vec<String> = answers.iter().map(ToString::to_string).collect();
        let seen = requests.clone();
        std::thread::spawn(move || {
            let mut stalled = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let request = read(&stream);
                let count = {
                    let mut seen = seen.lock().unwrap();
                    seen.push(request);
                    seen.len()
                };
                let answer = &answers[(count - 1).min(answers.len() - 1)];
                // Whoever asked may have gone away.
                stream.write_all(answer.as_bytes()).ok();
                if answer.ends_with(STALLS) {
                    stalled.push(stream);
                }
            }
        });
        Self { address, requests }
    }

    fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn read(stream: &TcpStream) -> Request {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        reader.read_line(&mut head).unwrap();
    }
    let request = Request { head, body: String::new() };
    let length = request.header("content-length").unwrap().parse().unwrap();
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    Request { body: String::from_utf8(body).unwrap(), ..request }
}

fn reply(status: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\
         retry-after: 0\r\nlocation: http://127.0.0.1:1/\r\nconnection: close\r\n\r\n{body}"
    )
}

fn webhook(address: &str) -> Webhook {
    webhook_within(address, Duration::from_secs(5))
}

fn webhook_within(address: &str, timeout: Duration) -> Webhook {
    let spec = WebhookSpec {
        url: Secret::new(address.to_owned()),
        signing_key: Some(Secret::new(b"key".to_vec())),
        timeout,
    };
    Webhook::new(&agent(Path::new("/"), BehaviorSpec::Webhook(spec.clone())), &spec)
}

async fn ask(server: &Server, message: &Message) -> Result<Option<Response>, String> {
    let answered = webhook(&server.address).on_message(message, &Props::default()).await;
    answered.map_err(|fault| fault.to_string())
}

async fn said(server: &Server) -> String {
    let response = ask(server, &message("$1", "hi")).await.unwrap().unwrap();
    match response.actions.as_slice() {
        [Action::Say { text }] => text.clone(),
        other => panic!("{other:?}"),
    }
}

async fn answered() {
    let json = reply("200 OK", "application/json; charset=utf-8", r#"{"text": "hey"}"#);
    let text = reply("201 Created", "text/plain", "ho");
    let nothing = reply("204 No Content", "text/html", "");
    let server = Server::answering(&[&json, &text, &nothing]);
    assert_eq!(said(&server).await, "hey");
    assert_eq!(said(&server).await, "ho");
    let silent = ask(&server, &message("$1", "hi")).await;
    assert_eq!(silent, Ok(Some(Response::default())));
    let edit = Message { kind: MessageKind::Edit, ..message("$2", "hi") };
    assert_eq!(ask(&server, &edit).await, Ok(None));

    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    let request = &requests[0];
    assert!(request.head.starts_with("POST /hook?key=s3cret HTTP/1.1\r\n"), "{}", request.head);
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("webhook-id"), Some("$1"));
    let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!((&body["version"], &body["agent"]), (&1.into(), &"tested".into()));
    assert_eq!((&body["event"]["id"], &body["event"]["text"]), (&"$1".into(), &"hi".into()));
    let timestamp: u64 = request.header("webhook-timestamp").unwrap().parse().unwrap();
    assert!(timestamp > 1_700_000_000);
    assert!(request.header("webhook-signature").unwrap().starts_with("v1,"));
}

async fn retried() {
    let busy = reply("503 Service Unavailable", "text/plain", "not yet");
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhalf of i";
    let good = reply("200 OK", "text/plain", "now");
    let server = Server::answering(&[&busy, cut, &good]);
    assert_eq!(said(&server).await, "now");
    let ids: Vec<_> = server
        .requests()
        .iter()
        .map(|request| request.header("webhook-id").map(str::to_owned))
        .collect();
    assert_eq!(ids, [Some("$1".to_owned()), Some("$1".to_owned()), Some("$1".to_owned())]);

    let server = Server::answering(&[&busy]);
    let fault = ask(&server, &message("$1", "hi")).await.unwrap_err();
    assert!(fault.ends_with("it answers with status 503"), "{fault}");
    assert!(!fault.contains("s3cret"), "{fault}");
    assert_eq!(server.requests().len(), 3);
}

async fn stalled() {
    let headers = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 50\r\n\r\nhalf…";
    let nothing = "HTTP/1.1 …";
    let good = reply("200 OK", "text/plain", "now");
    let server = Server::answering(&[headers, nothing, &good]);
    let hook = webhook_within(&server.address, Duration::from_secs(1));
    let answered = hook.on_message(&message("$1", "hi"), &Props::default()).await;
    assert!(answered.unwrap().unwrap() == Response::say("now"));
    assert_eq!(server.requests().len(), 3);
}

async fn refused() {
    let large = reply("200 OK", "text/plain", &"x".repeat(300_000));
    for (answer, why) in [
        (reply("404 Not Found", "text/plain", "?"), "it answers with status 404"),
        (reply("302 Found", "text/plain", ""), "it answers with status 302"),
        (reply("200 OK", "text/html", "<p>"), "its answer is neither JSON nor text"),
        (large, "its answer is larger than 262144 bytes"),
    ] {
        let server = Server::answering(&[&answer]);
        let text = said(&server).await;
        assert!(text.contains(why), "{text}");
        assert_eq!(server.requests().len(), 1);
    }
}

async fn unreached() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/s3cret", taken.local_addr().unwrap());
    drop(taken);
    let answered = webhook(&address).on_message(&message("$1", "hi"), &Props::default()).await;
    let fault = answered.unwrap_err().to_string();
    assert!(fault.ends_with("it is not reached") && !fault.contains("s3cret"), "{fault}");
}
