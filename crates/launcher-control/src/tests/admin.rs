//! Health and metrics over TCP, and the files that are made for them.

use std::{collections::BTreeSet, path::PathBuf};

use fs_err as fs;
use launcher_core::spec::Network;
use launcher_runtime::AccountFacts;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::*;
use crate::{
    server::admin::{AdminListener, Watched, serve},
    wire::AcknowledgeRequest,
};

/// A listener for a launcher whose agent is parked.
struct Admin {
    launcher: Launcher,
    address: String,
    wanted: watch::Sender<Option<std::net::SocketAddr>>,
    _serving: JoinSet<()>,
}

impl Admin {
    async fn start() -> Self {
        let launcher = Launcher::start().await;
        let listener = AdminListener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = format!("http://{}", listener.address());
        let (wanted, changes) = watch::channel(Some(listener.address()));
        let watched = Watched {
            board: launcher.board.clone(),
            orders: launcher.orders.clone(),
            acknowledgements: launcher.acknowledgements.clone(),
        };
        let mut serving = JoinSet::new();
        serving.spawn(serve(Some(listener), changes, watched));
        Self { launcher, address, wanted, _serving: serving }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = client().get(format!("{}{path}", self.address)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn ready(&self) -> (u16, Value) {
        let (status, text) = self.get("/readyz").await;
        (status, serde_json::from_str(&text).unwrap())
    }

    async fn metrics(&self) -> String {
        let (status, text) = self.get("/metrics").await;
        assert_eq!(status, 200);
        text
    }
}

fn client() -> reqwest::Client {
    // The loopback address is never behind a proxy.
    reqwest::Client::builder().no_proxy().build().unwrap()
}

fn note(note: &str) -> AcknowledgeRequest {
    AcknowledgeRequest { note: Some(note.to_owned()) }
}

#[tokio::test]
async fn a_parked_agent_is_in_the_way_until_somebody_knows_of_it() {
    let admin = Admin::start().await;
    assert_eq!(admin.get("/healthz").await, (200, "ok\n".to_owned()));
    let (status, page) = admin.ready().await;
    let agent =
        json!({ "id": "a", "state": "parked", "reason": "token_invalid", "acknowledged": false });
    assert_eq!((status, page), (503, json!({ "ready": false, "agents": [agent] })));
    assert!(admin.metrics().await.contains("\nlauncher_ready 0.0\n"));

    let known = admin.launcher.client().acknowledge(&a(), &note("on leave")).await.unwrap();
    assert_eq!((known.reason.as_str(), known.note.as_deref()), ("token_invalid", Some("on leave")));
    let (status, page) = admin.ready().await;
    assert_eq!((status, &page["agents"][0]["acknowledged"]), (200, &json!(true)));
    let metrics = admin.metrics().await;
    assert!(metrics.contains("\nlauncher_ready 1.0\n"), "{metrics}");
    assert!(metrics.contains("\nlauncher_agent_acknowledged{agent=\"a\"} 1.0\n"), "{metrics}");

    // A start that ends in the same way changes nothing.
    admin.launcher.client().restart(&a()).await.unwrap();
    admin.launcher.wait_for(AgentState::Parked).await;
    assert_eq!(admin.ready().await.0, 200);
}

#[tokio::test]
async fn only_what_is_parked_can_be_acknowledged() {
    let launcher = Launcher::start().await;
    launcher.maintenance.hang();
    let (client, agent) = (launcher.client(), a());
    let held = client.reset(&agent, None);
    let asked = async {
        launcher.wait_for(AgentState::Stopping).await;
        refusal(client.acknowledge(&agent, &note("x")).await)
    };
    tokio::select! {
        _ = held => panic!("the reset was to hang"),
        refused = asked => assert_eq!(refused.reason, "a is not parked (stopping)"),
    }
    let other = "b".parse().unwrap();
    let refused = refusal(client.acknowledge(&other, &note("x")).await);
    assert_eq!(refused.reason, "there is no agent `b` that this launcher runs");
}

#[tokio::test]
async fn a_launcher_that_stopped_is_not_healthy() {
    let mut admin = Admin::start().await;
    admin.launcher.stop.ask();
    admin.launcher.stop.demand();
    while admin.launcher.tasks.join_next().await.is_some() {}
    assert_eq!(admin.get("/healthz").await.0, 503);
}

#[tokio::test]
async fn another_address_is_served_when_it_is_wanted_and_the_old_one_is_not() {
    let admin = Admin::start().await;
    // It keeps its connection, as Prometheus does.
    let kept = client();
    let old = format!("{}/healthz", admin.address);
    assert_eq!(kept.get(&old).send().await.unwrap().text().await.unwrap(), "ok\n");
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    admin.wanted.send(Some(free)).unwrap();
    served_at(free).await;
    assert!(kept.get(&old).send().await.is_err(), "the old connection is still served");
}

#[tokio::test]
async fn an_address_that_is_taken_harms_nobody_and_is_served_when_it_is_free() {
    let admin = Admin::start().await;
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    admin.wanted.send(Some(address)).unwrap();
    let gone = async { while client().get(&admin.address).send().await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(10), gone).await.unwrap();
    admin.launcher.wait_for(AgentState::Parked).await;
    drop(taken);
    served_at(address).await;
}

async fn served_at(address: std::net::SocketAddr) {
    let address = format!("http://{address}/healthz");
    let served = async {
        while client().get(&address).send().await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), served).await.unwrap();
}

#[tokio::test]
async fn what_is_counted_is_what_happened() {
    let admin = Admin::start().await;
    let report = admin.launcher.board.report(&a());
    let before = admin.metrics().await;
    for unknown in ["launcher_agent_sync_age_seconds{", "launcher_agent_resets_total{"] {
        assert!(!before.contains(unknown), "nobody knows: {before}");
    }
    report.count_received();
    report.count_answered();
    report.count_sent(Duration::from_millis(70));
    report.count_undecryptable("withheld");
    report.set_undecryptable_pending(3);
    report.set_one_time_keys(0);
    report.set_queued(2);
    report.set_resets(1);
    report.synced();
    report.decrypted();
    report.set_facts(AccountFacts { cross_signed: true, ..AccountFacts::default() });
    let metrics = admin.metrics().await;
    for sample in [
        "launcher_agent_state{agent=\"a\",state=\"parked\"} 1",
        "launcher_agent_state{agent=\"a\",state=\"running\"} 0",
        "launcher_agent_messages_received_total{agent=\"a\"} 1",
        "launcher_agent_messages_answered_total{agent=\"a\"} 1",
        "launcher_agent_messages_sent_total{agent=\"a\"} 1",
        "launcher_agent_send_duration_seconds_bucket{le=\"0.05\",agent=\"a\"} 0",
        "launcher_agent_send_duration_seconds_bucket{le=\"0.1\",agent=\"a\"} 1",
        "launcher_agent_send_duration_seconds_bucket{le=\"+Inf\",agent=\"a\"} 1",
        "launcher_agent_undecryptable_total{agent=\"a\",cause=\"withheld\"} 1",
        "launcher_agent_undecryptable_total{agent=\"a\",cause=\"unknown_session\"} 0",
        "launcher_agent_undecryptable_pending{agent=\"a\"} 3.0",
        "launcher_agent_one_time_keys{agent=\"a\"} 0.0",
        "launcher_agent_queue_depth{agent=\"a\"} 2.0",
        "launcher_agent_resets_total{agent=\"a\"} 1",
        "launcher_agent_signed{agent=\"a\"} 1.0",
        "launcher_agent_backup{agent=\"a\"} 0.0",
    ] {
        assert!(metrics.lines().any(|line| line == sample), "{sample} is not in\n{metrics}");
    }
    for name in ["launcher_agent_sync_age_seconds", "launcher_agent_decrypt_age_seconds"] {
        let line = metrics.lines().find(|line| line.starts_with(&format!("{name}{{"))).unwrap();
        let age: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        assert!((0.0..10.0).contains(&age), "{line}");
    }
    // Where nobody signs devices, there is nothing to be alarmed by.
    report.set_facts(AccountFacts { network: Network::Messager, ..AccountFacts::default() });
    let metrics = admin.metrics().await;
    assert!(!metrics.contains("launcher_agent_signed{"), "{metrics}");
}

/// The names of all samples that there can be, and those of the families.
fn names(metrics: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut samples, mut families) = (BTreeSet::new(), BTreeSet::new());
    for line in metrics.lines() {
        let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|it| it.split_once(' '))
        else {
            continue;
        };
        let endings: &[&str] = match kind {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_sum", "_count"],
            "info" => &["_info"],
            _ => &[""],
        };
        samples.extend(endings.iter().map(|ending| format!("{name}{ending}")));
        families.insert(format!("{name}{}", if kind == "histogram" { "" } else { endings[0] }));
    }
    (samples, families)
}

/// Everything in a text that looks like one of the metrics.
fn mentioned(text: &str) -> BTreeSet<String> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .filter(|word| word.starts_with("launcher_") || word.starts_with("process_"))
        .map(ToOwned::to_owned)
        .collect()
}

fn docs(name: &str) -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    fs::read_to_string(root.join(name)).unwrap()
}

/// The states that the selectors of a page name.
fn states(page: &str) -> Vec<&str> {
    let selectors = page.split("state=").skip(1).filter_map(|rest| rest.split('"').nth(1));
    // In JSON the quotes are escaped.
    selectors.flat_map(|names| names.trim_end_matches('\\').split('|')).collect()
}

#[tokio::test]
async fn dashboard_alerts_and_reference_name_what_there_is() {
    let served = Admin::start().await.metrics().await;
    let (samples, families) = names(&served);
    assert!(families.len() > 15, "{families:?}");
    let dashboard = docs("operations/grafana-dashboard.json");
    serde_json::from_str::<Value>(&dashboard).unwrap();
    for (file, text) in
        [("grafana-dashboard.json", dashboard), ("alerts.yaml", docs("operations/alerts.yaml"))]
    {
        let used = mentioned(&text);
        assert!(used.len() > 5, "{file}: {used:?}");
        let unknown: Vec<_> = used.difference(&samples).collect();
        assert!(unknown.is_empty(), "{file} uses {unknown:?}, which /metrics does not have");
        for state in states(&text) {
            let label = format!("state=\"{state}\"");
            assert!(served.contains(&label), "{file}: no agent is ever {state}");
        }
    }
    let reference = mentioned(&docs("reference/metrics.md"));
    let missing: Vec<_> = families.difference(&reference).collect();
    assert!(missing.is_empty(), "docs/reference/metrics.md does not name {missing:?}");
    let all: BTreeSet<String> = samples.union(&families).cloned().collect();
    let unknown: Vec<_> = reference.difference(&all).collect();
    assert!(unknown.is_empty(), "docs/reference/metrics.md names {unknown:?}");
}
