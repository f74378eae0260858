//! Shows that a tap forwards what it is given and does what its rules say.

mod peers;

use std::{
    io::ErrorKind,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use launcher_testbed::{
    DEFAULT_TIMEOUT, free_port,
    tap::{Action, Answer, Gate, Hook, Matcher, Outcome, Point, Rule, Tap, invariants},
};
use serde_json::json;

use self::peers::{Client, Server};

/// Long enough to be noticed, short enough to be waited for.
const MOMENT: Duration = Duration::from_millis(200);

/// A server with a tap in front of it.
fn tapped() -> (Server, Tap) {
    let server = Server::start();
    let tap = Tap::start(&server.base_url).unwrap();
    (server, tap)
}

/// A server and a client, and a tap between them with one rule for `/x`.
fn tapped_with(action: Action) -> (Server, Tap, Rule, Client) {
    let (server, tap) = tapped();
    let rule = tap.add_rule(Matcher::path_contains("/x"), action);
    let client = Client::connect(tap.base_url());
    (server, tap, rule, client)
}

/// How the first request of a tap ended.
fn outcome(tap: &Tap) -> Outcome {
    tap.wait_for(|request| request.is_finished(), DEFAULT_TIMEOUT).unwrap().outcome
}

#[test]
fn tap_forwards_requests_on_one_connection_and_logs_them() {
    let (server, tap) = tapped();
    let mut client = Client::connect(tap.base_url());
    for _ in 0..3 {
        let answer = client.ask("PUT", "/room?a=b", r#"{"n":1}"#).unwrap();
        assert_eq!((&answer["connection"], &answer["path"]), (&json!(1), &json!("/room?a=b")));
        assert_eq!(answer["body"], r#"{"n":1}"#);
        assert_eq!(format!("http://{}", answer["host"].as_str().unwrap()), server.base_url);
    }
    assert_eq!(server.connections(), 1);

    tap.wait_for(|request| request.number == 3 && request.is_finished(), DEFAULT_TIMEOUT).unwrap();
    let log = tap.requests();
    assert_eq!(log.len(), 3);
    let first = &log[0];
    assert_eq!((first.number, first.method.as_str(), first.path.as_str()), (1, "PUT", "/room"));
    assert_eq!((first.query_value("a"), first.json()), (Some("b"), Some(json!({ "n": 1 }))));
    assert_eq!((first.status, first.outcome), (Some(200), Outcome::Delivered));
    assert_eq!(first.response_json().unwrap()["method"], "PUT");
    assert!(first.server_answered && first.ended.unwrap() >= first.started);
    assert!(log[1].started >= first.started && first.rules.is_empty());
}

#[test]
fn tap_reads_an_answer_in_chunks() {
    let (_server, tap) = tapped();
    let mut client = Client::connect(tap.base_url());
    let chunked = client.get("/chunked").unwrap();
    assert_eq!(chunked["path"], "/chunked");
}

#[test]
fn tap_serves_others_while_a_long_poll_is_open() {
    let (server, tap) = tapped();
    let mut poller = Client::connect(tap.base_url());
    poller.send("GET", "/poll", "");
    tap.wait_for(|request| request.path == "/poll", DEFAULT_TIMEOUT).unwrap();
    let mut client = Client::connect(tap.base_url());
    assert_eq!(client.get("/x").unwrap()["path"], "/x");
    assert!(!poller.has_received_anything());
    server.polls.open();
    assert_eq!(poller.receive().unwrap().2["path"], "/poll");
}

#[test]
fn tap_holds_some_hundred_connections() {
    let (server, tap) = tapped();
    let mut pollers: Vec<Client> = (0..400).map(|_| Client::connect(tap.base_url())).collect();
    for poller in &mut pollers {
        poller.send("GET", "/poll", "");
    }
    tap.wait_for(|request| request.number == 400, DEFAULT_TIMEOUT).unwrap();
    server.polls.open();
    for poller in &mut pollers {
        assert_eq!(poller.receive().unwrap().0, 200);
    }
}

#[test]
fn tap_passes_on_that_a_poller_is_gone() {
    let (server, tap) = tapped();
    let mut poller = Client::connect(tap.base_url());
    poller.send("GET", "/poll", "");
    tap.wait_for(|request| request.path == "/poll", DEFAULT_TIMEOUT).unwrap();
    drop(poller);
    assert_eq!(outcome(&tap), Outcome::ClientGone);
    let started = Instant::now();
    while server.gone() == 0 {
        assert!(started.elapsed() < DEFAULT_TIMEOUT);
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn tap_delays_a_request() {
    let (_server, _tap, rule, mut client) = tapped_with(Action::Delay(MOMENT));
    let started = Instant::now();
    client.get("/y").unwrap();
    client.get("/x").unwrap();
    assert!(started.elapsed() >= MOMENT);
    assert_eq!(rule.hits(), 1);
}

#[test]
fn tap_drops_a_request_that_the_server_never_hears_of() {
    let (server, tap, _rule, mut client) = tapped_with(Action::DropBefore);
    assert_eq!(client.get("/x").unwrap_err().kind(), ErrorKind::ConnectionAborted);
    assert_eq!(server.requests(), [""; 0]);
    assert_eq!(outcome(&tap), Outcome::Dropped);
    let request = &tap.requests()[0];
    assert!(!request.server_answered && request.status.is_none());
    assert_eq!(request.rules, ["1: drop before"]);
}

#[test]
fn tap_drops_an_answer_after_the_server_has_acted() {
    let (server, tap, _rule, mut client) = tapped_with(Action::DropAfter);
    assert_eq!(client.ask("PUT", "/x", "{}").unwrap_err().kind(), ErrorKind::ConnectionAborted);
    assert_eq!(server.requests(), ["PUT /x {}"]);
    assert_eq!(outcome(&tap), Outcome::Dropped);
    let request = &tap.requests()[0];
    assert!(request.server_answered);
    assert_eq!(request.status, Some(200));
    assert_eq!(request.response_json().unwrap()["path"], "/x");
}

#[test]
fn tap_cuts_a_body_in_half() {
    let (server, tap, _rule, mut client) = tapped_with(Action::CutBody);
    client.send("GET", "/x", "");
    assert_eq!(client.receive().unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert_eq!(server.requests(), ["GET /x"]);
    assert_eq!(outcome(&tap), Outcome::Cut);
}

#[test]
fn tap_answers_in_place_of_the_server() {
    let refusal = Answer::refusal(429, "M_LIMIT_EXCEEDED").header("Retry-After", "7");
    let (server, tap, _rule, mut client) = tapped_with(Action::Status(refusal));
    client.send("GET", "/x", "");
    let (status, headers, body) = client.receive().unwrap();
    assert_eq!((status, headers["retry-after"].as_str()), (429, "7"));
    assert_eq!(body["errcode"], "M_LIMIT_EXCEEDED");
    assert_eq!(server.requests(), [""; 0]);
    assert!(!tap.requests()[0].server_answered);
    // The connection goes on.
    assert_eq!(client.get("/y").unwrap()["path"], "/y");
}

#[test]
fn tap_rewrites_what_the_client_is_given() {
    let rewrite = Action::rewrite(|mut json| {
        json["path"] = "/other".into();
        json
    });
    let (_server, tap, _rule, mut client) = tapped_with(rewrite);
    assert_eq!(client.get("/x").unwrap()["path"], "/other");
    assert_eq!(tap.requests()[0].response_json().unwrap()["path"], "/other");
}

#[test]
fn tap_rewrites_what_the_server_is_given() {
    let rewrite = Action::rewrite_request(|_| json!({ "another": "body" }));
    let (server, tap, _rule, mut client) = tapped_with(rewrite);
    client.ask("PUT", "/x", "{}").unwrap();
    assert_eq!(server.requests(), [r#"PUT /x {"another":"body"}"#]);
    assert_eq!(tap.requests()[0].json(), Some(json!({})));
}

#[test]
fn tap_holds_a_request_at_a_gate() {
    let gate = Gate::new();
    let (server, _tap, rule, mut client) = tapped_with(Action::HoldBefore(gate.clone()));
    client.send("GET", "/x", "");
    rule.wait_for_hits(1, DEFAULT_TIMEOUT).unwrap();
    thread::sleep(MOMENT);
    assert_eq!(server.requests(), [""; 0]);
    gate.open();
    assert_eq!(client.receive().unwrap().0, 200);
    assert_eq!(server.requests(), ["GET /x"]);
}

#[test]
fn tap_holds_an_answer_at_a_gate() {
    let gate = Gate::new();
    let (server, _tap, rule, mut client) = tapped_with(Action::HoldAfter(gate.clone()));
    client.send("GET", "/x", "");
    rule.wait_for_hits(1, DEFAULT_TIMEOUT).unwrap();
    assert_eq!(server.requests(), ["GET /x"]);
    thread::sleep(MOMENT);
    assert!(!client.has_received_anything());
    gate.open();
    assert_eq!(client.receive().unwrap().0, 200);
}

#[test]
fn tap_calls_a_hook_before_the_server_hears_of_the_request() {
    let (server, tap) = tapped();
    let server = Arc::new(server);
    let heard = Arc::new(Mutex::new(None));
    let hook = {
        let (server, heard) = (Arc::clone(&server), Arc::clone(&heard));
        Action::hook(Point::BeforeForwarding, move |_| {
            thread::sleep(MOMENT);
            *heard.lock().unwrap() = Some(server.requests().len());
        })
    };
    tap.add_rule(Matcher::any(), hook).keep();
    Client::connect(tap.base_url()).get("/x").unwrap();
    assert_eq!(*heard.lock().unwrap(), Some(0));
    assert_eq!(server.requests(), ["GET /x"]);
}

#[test]
fn tap_calls_a_hook_before_the_client_has_a_byte() {
    let (called, calls) = mpsc::channel();
    let release = Gate::new();
    let hook = {
        let release = release.clone();
        Action::hook(Point::AfterResponse, move |request| {
            called.send(request.server_answered).unwrap();
            assert!(release.wait(DEFAULT_TIMEOUT));
        })
    };
    let (server, _tap, rule, mut client) = tapped_with(hook);
    client.send("GET", "/x", "");
    assert!(calls.recv_timeout(DEFAULT_TIMEOUT).unwrap());
    assert_eq!(server.requests(), ["GET /x"]);
    thread::sleep(MOMENT);
    assert!(!client.has_received_anything());
    assert_eq!(rule.hits(), 0, "the hook has not returned");
    release.open();
    assert_eq!(client.receive().unwrap().0, 200);
}

#[test]
fn tap_calls_a_hook_after_the_client_has_every_byte() {
    let (called, calls) = mpsc::channel();
    let release = Gate::new();
    let hook = {
        let release = release.clone();
        Action::hook(Point::AfterDelivery, move |request| {
            called.send(request.outcome).unwrap();
            assert!(release.wait(DEFAULT_TIMEOUT));
        })
    };
    let (_server, _tap, rule, mut client) = tapped_with(hook);
    client.send("GET", "/x", "");
    assert_eq!(calls.recv_timeout(DEFAULT_TIMEOUT).unwrap(), Outcome::Delivered);
    assert_eq!(client.receive().unwrap().2["path"], "/x");
    release.open();
    rule.wait_for_hits(1, DEFAULT_TIMEOUT).unwrap();
}

#[test]
fn tap_calls_a_late_hook_while_the_connection_goes_on() {
    let called = Arc::new(AtomicBool::new(false));
    let hook = {
        let called = Arc::clone(&called);
        Hook::new(Point::AfterDelivery, move |_| called.store(true, Ordering::SeqCst))
    };
    let (_server, _tap, rule, mut client) = tapped_with(Action::Hook(hook.delay(5 * MOMENT)));
    client.get("/x").unwrap();
    client.get("/y").unwrap();
    assert!(!called.load(Ordering::SeqCst));
    rule.wait_for_hits(1, DEFAULT_TIMEOUT).unwrap();
    assert!(called.load(Ordering::SeqCst));
}

#[test]
fn tap_sees_that_a_client_died_in_a_hook() {
    let (_server, tap) = tapped();
    let client = Arc::new(Mutex::new(Some(Client::connect(tap.base_url()))));
    let kill = {
        let client = Arc::clone(&client);
        Action::hook(Point::AfterResponse, move |_| *client.lock().unwrap() = None)
    };
    tap.add_rule(Matcher::any(), kill).keep();
    client.lock().unwrap().as_mut().unwrap().send("PUT", "/x", "{}");
    assert_eq!(outcome(&tap), Outcome::ClientGone);
    assert!(tap.requests()[0].server_answered);
}

#[test]
fn tap_forwards_what_it_held_also_when_the_client_is_gone() {
    let gate = Gate::new();
    let (server, tap, rule, mut client) = tapped_with(Action::HoldBefore(gate.clone()));
    client.send("PUT", "/x", "{}");
    rule.wait_for_hits(1, DEFAULT_TIMEOUT).unwrap();
    drop(client);
    gate.open();
    assert_eq!(outcome(&tap), Outcome::ClientGone);
    assert_eq!(server.requests(), ["PUT /x {}"]);
}

#[test]
fn tap_ends_the_exchange_of_a_hook_that_fails() {
    let (_server, tap, _rule, mut client) =
        tapped_with(Action::hook(Point::AfterResponse, |_| panic!("on purpose")));
    assert_eq!(client.get("/x").unwrap_err().kind(), ErrorKind::ConnectionAborted);
    assert_eq!(outcome(&tap), Outcome::Dropped);
}

#[test]
fn tap_applies_a_rule_to_the_nth_and_so_many_more() {
    let (_server, tap) = tapped();
    let matcher = Matcher::path_contains("/x").method("PUT").nth(2).times(2);
    let rule = tap.add_rule(matcher, Action::status(503, json!({})));
    let mut client = Client::connect(tap.base_url());
    let mut put = |path| {
        client.send("PUT", path, "{}");
        client.receive().unwrap().0
    };
    assert_eq!(["/x", "/y", "/x", "/x", "/x"].map(&mut put), [200, 200, 503, 503, 200]);
    assert_eq!(rule.hits(), 2);
}

#[test]
fn tap_picks_requests_by_their_body_their_owner_and_their_answer() {
    let (server, tap) = tapped();
    tap.name_owner("t0ken", "the agent");
    let teapot = || Action::status(418, json!({}));
    let _body = tap.add_rule(Matcher::any().body(|json| json["n"] == 1), teapot());
    let _owner = tap.add_rule(Matcher::path_contains("/mine").owner("the agent"), teapot());
    let _other = tap.add_rule(Matcher::path_contains("/theirs").owner("another"), teapot());
    let _answer = tap.add_rule(Matcher::any().response(|json| json["path"] == "/late"), teapot());
    let mut client = Client::connect(tap.base_url());
    let mut put = |path, body| {
        client.send("PUT", path, body);
        client.receive().unwrap().0
    };
    assert_eq!((put("/", r#"{"n":1}"#), put("/", r#"{"n":2}"#)), (418, 200));
    assert_eq!((put("/mine", ""), put("/theirs", "")), (418, 200));
    let before = server.requests().len();
    assert_eq!(put("/late", ""), 418);
    assert_eq!(server.requests().len(), before + 1, "the server has answered first");
}

#[test]
fn tap_forgets_a_rule_that_is_dropped() {
    let (_server, tap, rule, mut client) = tapped_with(Action::status(503, json!({})));
    client.send("GET", "/x", "");
    assert_eq!(client.receive().unwrap().0, 503);
    rule.remove();
    client.send("GET", "/x", "");
    assert_eq!(client.receive().unwrap().0, 200);
    assert_eq!(tap.requests().len(), 2);
}

#[test]
fn tap_counts_and_awaits_what_has_come_since_a_mark() {
    let (_server, tap) = tapped();
    let mut client = Client::connect(tap.base_url());
    client.get("/x").unwrap();
    let mark = tap.mark();
    assert_eq!(tap.count_since(mark, |_| true), 0);
    let error = tap.wait_for_since(mark, |_| true, Duration::from_millis(20)).unwrap_err();
    assert!(error.is_timeout());
    client.get("/y").unwrap();
    client.get("/x").unwrap();
    assert_eq!(tap.count_since(mark, |request| request.path == "/x"), 1);
    let found = tap.wait_for_since(mark, |request| request.path == "/x", DEFAULT_TIMEOUT).unwrap();
    assert_eq!(found.number, 3);
    let error = tap.wait_for(|request| request.path == "/z", MOMENT).unwrap_err();
    assert!(error.to_string().contains("#3 GET /x of token-"), "{error}");
}

#[test]
fn tap_closes_the_connection_when_the_server_is_down() {
    let tap = Tap::start(&format!("http://127.0.0.1:{}", free_port().unwrap())).unwrap();
    let get = || Client::connect(tap.base_url()).get("/x");
    assert_eq!(get().unwrap_err().kind(), ErrorKind::ConnectionAborted);
    assert_eq!(outcome(&tap), Outcome::UpstreamGone);

    let server = Server::start();
    tap.set_upstream(&server.base_url).unwrap();
    assert_eq!(get().unwrap()["path"], "/x");
    let mut client = Client::connect(tap.base_url());
    assert_eq!(client.get("/abort").unwrap_err().kind(), ErrorKind::ConnectionAborted);
    assert_eq!(get().unwrap()["path"], "/x");
}

#[test]
fn tap_changes_the_server_in_the_middle_of_a_connection() {
    let (first, tap) = tapped();
    let second = Server::start();
    let mut client = Client::connect(tap.base_url());
    client.get("/x").unwrap();
    tap.set_upstream(&second.base_url).unwrap();
    client.get("/y").unwrap();
    assert_eq!(
        (first.requests(), second.requests()),
        (vec!["GET /x".into()], vec!["GET /y".into()])
    );
}

#[test]
fn tap_ends_promptly_whatever_is_open() {
    let (server, tap) = tapped();
    tap.add_rule(Matcher::path_contains("/held"), Action::HoldBefore(Gate::new())).keep();
    tap.add_rule(Matcher::path_contains("/late"), Action::Delay(DEFAULT_TIMEOUT)).keep();
    let mut clients: Vec<Client> = ["/poll", "/held", "/late"]
        .map(|path| {
            let mut client = Client::connect(tap.base_url());
            client.send("GET", path, "");
            client
        })
        .into();
    let idle = Client::connect(tap.base_url());
    tap.wait_for(|request| request.number == 3, DEFAULT_TIMEOUT).unwrap();
    let started = Instant::now();
    drop(tap);
    assert!(started.elapsed() < Duration::from_secs(2));
    for client in &mut clients {
        assert!(client.receive().is_err());
    }
    drop((idle, server));
}

#[test]
fn tap_writes_every_request_to_a_file_and_never_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tap.jsonl");
    let server = Server::start();
    let tap = Tap::start_with_log(&server.base_url, &file).unwrap();
    let mut client = Client::connect(tap.base_url());
    client.ask("POST", "/login", r#"{"password":"pa55word","user":"a"}"#).unwrap();
    client.get("/x?access_token=t0ken&since=1").unwrap();
    drop((client, tap));

    assert_eq!(
        invariants::find_any(&["t0ken", "s3cret", "pa55word"], folder.path()).unwrap(),
        [""; 0].map(std::path::PathBuf::from)
    );
    let text = fs_err::read_to_string(&file).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["path"], &lines[0]["body"]["user"]), (&json!("/login"), &json!("a")));
    assert_eq!((&lines[1]["query"], &lines[1]["status"]), (&json!("since=1"), &json!(200)));
    assert_eq!(
        (&lines[1]["outcome"], &lines[1]["server_answered"]),
        (&json!("delivered"), &json!(true))
    );
}

#[test]
fn tap_knows_an_owner_by_name_also_for_what_was_before() {
    let (_server, tap) = tapped();
    let mut client = Client::connect(tap.base_url());
    client.get("/x").unwrap();
    outcome(&tap);
    assert!(tap.requests()[0].owner.as_ref().unwrap().starts_with("token-"));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            tap.wait_for(|request| request.owner.as_deref() == Some("the agent"), DEFAULT_TIMEOUT)
        });
        thread::sleep(Duration::from_millis(20));
        tap.name_owner("t0ken", "the agent");
        assert_eq!(waiting.join().unwrap().unwrap().number, 1);
    });
    client.get("/x").unwrap();
    for request in tap.requests() {
        assert_eq!(request.owner.as_deref(), Some("the agent"));
    }
}
