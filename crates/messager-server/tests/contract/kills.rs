//! Killed again and again under load, by `kill -9` at random moments.
//!
//! Everybody insists: what was not answered is said again, to the server that runs by
//! then. In the end each thing is there once, in one order for all readers.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, SystemTime},
};

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    chance::Chance,
    process::{Running, add},
    world::{PATIENCE, id, sealed},
};

const KILLS: usize = 20;
const SENDERS: usize = 8;

/// Answers that there are between two kills, at least.
const PROGRESS: usize = 150;

/// What all who talk to the server share.
#[derive(Clone)]
struct Load {
    http: Client,
    /// Where the server is now.
    url: watch::Receiver<String>,
    answers: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
}

impl Load {
    fn is_over(&self) -> bool {
        self.is_over.load(SeqCst)
    }

    /// Asks until there is an answer. That a connection is cut off is all that may
    /// go wrong.
    async fn insist(&self, token: &str, method: Method, path: &str, body: &Value) -> Value {
        let asking = async {
            loop {
                let url = format!("{}{path}", *self.url.borrow());
                let request = self.http.request(method.clone(), url).bearer_auth(token).json(body);
                let request = request.header("x-client-ability", "chat-e2ee-v1");
                // Nothing is known about what was cut off.
                let Ok(response) = request.send().await else {
                    sleep(Duration::from_millis(2)).await;
                    continue;
                };
                let status = response.status();
                let Ok(text) = response.text().await else { continue };
                assert!(status.is_success(), "{path}: {status} {text}");
                self.answers.fetch_add(1, SeqCst);
                return serde_json::from_str(&text).unwrap();
            }
        };
        timeout(PATIENCE, asking).await.expect("no answer")
    }
}

/// A device, as `account add` tells it.
#[derive(Clone)]
struct Device {
    account: String,
    token: String,
}

impl Device {
    fn of(added: &Value) -> Self {
        let text = |name: &str| added[name].as_str().unwrap().to_owned();
        Self { account: text("account_id"), token: text("token") }
    }
}

/// Sends messages and envelopes in turn. Gives the ids of both in the order in which
/// they were acknowledged.
async fn send(
    load: Load,
    own: Device,
    (number, room, peer): (usize, String, String),
) -> [Vec<String>; 2] {
    let [mut messages, mut envelopes] = [const { Vec::new() }; 2];
    while !load.is_over() {
        let mut body = sealed("content.new");
        body["client_message_id"] = format!("{number}-{}", messages.len()).into();
        let path = format!("/api/chat/{room}/messages");
        messages.push(id(&load.insist(&own.token, Method::POST, &path, &body).await));
        let body = json!({
            "recipient_id": peer, "ciphertext": "AAEC",
            "client_message_id": format!("{number}-{}", envelopes.len()),
        });
        let sent = load.insist(&own.token, Method::POST, "/api/e2ee/messages", &body).await;
        envelopes.push(id(&sent));
    }
    [messages, envelopes]
}

/// Takes envelopes and acknowledges them until there are none after the end. Gives
/// the sequences and the ids, in the order in which they were acknowledged.
async fn acknowledge(load: Load, own: Device, all_sent: Arc<AtomicBool>) -> Vec<(i64, String)> {
    let mut taken: BTreeMap<String, i64> = BTreeMap::new();
    let mut order = Vec::new();
    loop {
        let is_last = all_sent.load(SeqCst);
        let path = "/api/e2ee/messages/pending?take=20";
        let waiting = load.insist(&own.token, Method::GET, path, &json!({})).await;
        let waiting = waiting.as_array().unwrap();
        if is_last && waiting.is_empty() {
            return order;
        }
        for envelope in waiting {
            let (envelope, sequence) = (id(envelope), envelope["sequence"].as_i64().unwrap());
            let path = format!("/api/e2ee/messages/{envelope}/ack");
            load.insist(&own.token, Method::POST, &path, &json!({})).await;
            let before = taken.insert(envelope.clone(), sequence);
            assert_eq!(before, None, "what was acknowledged comes again");
            order.push((sequence, envelope));
        }
        if waiting.is_empty() {
            sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Claims keys and gives the ids that came.
async fn claim(load: Load, own: Device, target: String) -> Vec<i64> {
    let path = format!("/api/e2ee/keys/{target}/bundle");
    let mut claimed = Vec::new();
    while !load.is_over() {
        let bundle = load.insist(&own.token, Method::GET, &path, &json!({})).await;
        claimed.extend(bundle["one_time_pre_key"]["key_id"].as_i64());
        sleep(Duration::from_millis(10)).await;
    }
    claimed
}

/// Syncs from where the last answer ended. Gives the ids of all rows that came.
async fn follow(load: Load, own: Device, path: String, all_sent: Arc<AtomicBool>) -> Vec<String> {
    let (mut rows, mut since) = (Vec::new(), 0);
    loop {
        let is_last = all_sent.load(SeqCst);
        let body = json!({ "last_sync_timestamp": since });
        let page = load.insist(&own.token, Method::POST, &path, &body).await;
        let moment: jiff::Timestamp = page["current_timestamp"].as_str().unwrap().parse().unwrap();
        since = moment.as_millisecond();
        let new = page["messages"].as_array().unwrap();
        rows.extend(new.iter().map(id));
        if is_last && new.is_empty() {
            return rows;
        }
        if new.is_empty() {
            sleep(Duration::from_millis(5)).await;
        }
    }
}

fn one_time_keys(first: i64) -> Value {
    let key = "A".repeat(42) + "A=";
    let keys: Vec<Value> =
        (first..first + 1000).map(|id| json!({ "key_id": id, "public_key": key })).collect();
    json!({
        "identity_key": key, "signed_pre_key": key,
        "signed_pre_key_signature": "A".repeat(84) + "AA==", "one_time_pre_keys": keys,
    })
}

/// One that is different each time, unless the environment says one.
fn seed() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a test, run by hand with the seed of another")]
    let given = std::env::var("MESSAGER_SEED").ok().and_then(|seed| seed.parse().ok());
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = given.unwrap_or_else(|| u64::from(since.subsec_nanos()));
    #[expect(clippy::print_stderr, reason = "whoever sees this fail wants to see it again")]
    {
        eprintln!("MESSAGER_SEED={seed}");
    }
    seed
}

#[tokio::test]
async fn kills_under_load_lose_nothing_and_double_nothing() {
    let mut chance = Chance(seed());
    let data = tempfile::tempdir().unwrap();
    let mut devices = Vec::new();
    for number in 0..SENDERS {
        devices.push(Device::of(&add(&format!("sender-{number}"), data.path()).await));
    }
    let reader = Device::of(&add("reader", data.path()).await);
    let mut server = Running::start(data.path()).await;
    let (moved, url) = watch::channel(server.url.clone());
    let (answers, is_over) = Default::default();
    let load = Load { http: Client::new(), url, answers, is_over };
    let owner = &devices[0].token;
    let group = json!({ "name": "a", "encryption_mode": 2, "is_community": true });
    let room = id(&load.insist(owner, Method::POST, "/api/chat", &group).await);
    let join = format!("/api/chat/{room}/members/me");
    for device in devices.iter().skip(1).chain([&reader]) {
        load.insist(&device.token, Method::POST, &join, &json!({})).await;
    }
    for first in [0, 1000] {
        let path = "/api/e2ee/keys/upload";
        load.insist(&reader.token, Method::POST, path, &one_time_keys(first)).await;
    }

    let all_sent = Arc::new(AtomicBool::new(false));
    let (mut senders, mut claimers) = (JoinSet::new(), JoinSet::new());
    for (number, device) in devices.iter().enumerate() {
        let place = (number, room.clone(), reader.account.clone());
        senders.spawn(send(load.clone(), device.clone(), place));
    }
    for device in &devices[..2] {
        claimers.spawn(claim(load.clone(), device.clone(), reader.account.clone()));
    }
    let acknowledging = tokio::spawn(acknowledge(load.clone(), reader.clone(), all_sent.clone()));
    let paths = [format!("/api/chat/{room}/sync"), "/api/chat/sync".to_owned()];
    let following = paths
        .map(|path| tokio::spawn(follow(load.clone(), reader.clone(), path, all_sent.clone())));

    for _ in 0..KILLS {
        let before = load.answers.load(SeqCst);
        let progress = async {
            while load.answers.load(SeqCst) < before + PROGRESS {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, progress).await.expect("the server answers nobody");
        sleep(Duration::from_micros(chance.next() % 100_000)).await;
        server.kill().await;
        server = Running::start(data.path()).await;
        moved.send_replace(server.url.clone());
    }
    load.is_over.store(true, SeqCst);
    let [mut messages, mut envelopes] = [const { Vec::new() }; 2];
    while let Some(sent) = senders.join_next().await {
        let [of_messages, of_envelopes] = sent.unwrap();
        messages.push(of_messages);
        envelopes.push(of_envelopes);
    }
    all_sent.store(true, SeqCst);

    // Each row that was acknowledged is there once; of each sender in its order; and
    // nothing else is.
    let [rows, others] = following.map(|reader| async { reader.await.unwrap() });
    let rows = rows.await;
    let (all, others) = (BTreeSet::from_iter(&rows), others.await);
    let others_too = BTreeSet::from_iter(&others);
    let missed: Vec<_> = all.symmetric_difference(&others_too).collect();
    assert!(missed.is_empty(), "one reader has missed {missed:?} of {}", all.len());
    assert!(rows == others, "both readers have seen one order");
    // Behind the rows that said who came.
    holds_each_once(&rows[rows.len() - messages.concat().len()..], &messages);
    // So it is with envelopes.
    let taken = acknowledging.await.unwrap();
    let sequences: Vec<i64> = taken.iter().map(|(sequence, _)| *sequence).collect();
    let expected: Vec<i64> = (1..=i64::try_from(taken.len()).unwrap()).collect();
    assert!(sequences == expected, "envelopes have a gap, or come out of order");
    let taken: Vec<String> = taken.into_iter().map(|(_, id)| id).collect();
    holds_each_once(&taken, &envelopes);
    // No key was given twice.
    let mut claimed = Vec::new();
    while let Some(keys) = claimers.join_next().await {
        claimed.extend(keys.unwrap());
    }
    let different: BTreeSet<i64> = claimed.iter().copied().collect();
    assert_eq!(different.len(), claimed.len());
    assert!(claimed.len() > KILLS, "{}", claimed.len());

    server.terminate().await;
    let tables = rusqlite::Connection::open(data.path().join("messager.db")).unwrap();
    let check = tables.pragma_query_value(None, "integrity_check", |row| row.get::<_, String>(0));
    assert_eq!(check.unwrap(), "ok");
}

/// Sees that a list has all of some others, each once and each in its order, and no more.
#[track_caller]
fn holds_each_once(list: &[String], others: &[Vec<String>]) {
    let places: BTreeMap<&String, usize> =
        list.iter().enumerate().map(|(place, id)| (id, place)).collect();
    assert_eq!(places.len(), list.len(), "something is there twice");
    assert_eq!(list.len(), others.iter().map(Vec::len).sum::<usize>());
    for other in others {
        let order: Vec<usize> = other
            .iter()
            .map(|id| *places.get(id).expect("what was acknowledged is lost"))
            .collect();
        assert!(order.is_sorted(), "{order:?}");
    }
}
