//! The API over a real socket: a supervisor whose agents do nothing, and a
//! maintenance that notes what it is asked for.

mod admin;
mod audited;
mod fakes;
mod rooms;
mod sending;
mod trust;
mod trustee;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use launcher_core::{
    agent::AgentId,
    fleet::Wanted,
    secret::Secret,
    status::{AgentState, Standing},
};
use launcher_journal::SqliteJournals;
use launcher_runtime::{Order, StatusBoard, Supervisor, locks::Locks, ports::Session, stop::Stop};
use tempfile::TempDir;
use tokio::{sync::mpsc, task::JoinSet};

use self::fakes::{Connected, Notes, Refuses, spec};
use crate::{
    client::{AskError, Client},
    desk::{Acknowledgements, Desk, state_check},
    server::ControlSocket,
    wire::{Grade, Refusal},
};

/// A launcher with one agent, `a`, whose token the server refuses.
struct Launcher {
    folder: TempDir,
    board: StatusBoard,
    stop: Stop,
    maintenance: Arc<Notes>,
    orders: mpsc::Sender<Order>,
    acknowledgements: Acknowledgements,
    tasks: JoinSet<()>,
    _following: JoinSet<()>,
}

impl Launcher {
    async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let maintenance = Arc::new(Notes::default());
        let stop = Stop::new();
        let supervisor = Supervisor::new(
            Arc::new(Refuses),
            Arc::new(SqliteJournals::default()),
            Box::new(|_| Arc::new(fakes::Silent)),
            Arc::new(Locks::default()),
        );
        let board = supervisor.board();
        let (orders, received) = mpsc::channel(4);
        let spec = spec("a", folder.path());
        let agents = BTreeMap::from([(spec.id.clone(), Wanted::Run(Box::new(spec)))]);
        orders.send(Order::Wanted { agents, touched: BTreeSet::new() }).await.unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs_err::set_permissions(folder.path(), private).unwrap();
        let socket = ControlSocket::bind(folder.path()).unwrap();
        let acknowledgements = Acknowledgements::load(folder.path());
        let desk = Desk::new(
            board.clone(),
            orders.clone(),
            maintenance.clone(),
            maintenance.clone(),
            stop.clone(),
        );
        let desk = desk.acknowledging(acknowledgements.clone());
        let mut tasks = JoinSet::new();
        let until = stop.clone();
        tasks.spawn(async move { drop(supervisor.run(received, until).await) });
        tasks.spawn(async move { socket.serve(desk).await.unwrap() });
        let (known, watched) = (acknowledgements.clone(), board.clone());
        let mut following = JoinSet::new();
        following.spawn(async move { known.follow(watched).await });
        let launcher = Self {
            folder,
            board,
            stop,
            maintenance,
            orders,
            acknowledgements,
            tasks,
            _following: following,
        };
        launcher.wait_for(AgentState::Parked).await;
        launcher
    }

    /// From here on the agent has this session.
    fn connect(&self, session: &Arc<Connected>) {
        let session: Arc<dyn Session> = session.clone();
        self.board.report(&a()).set_session(Some(&session));
    }

    fn client(&self) -> Client {
        Client::new(self.folder.path())
    }

    fn state(&self) -> Option<AgentState> {
        self.board.snapshot().first().map(|status| status.standing.state)
    }

    async fn wait_for(&self, state: AgentState) {
        let wait = async {
            while self.state() != Some(state) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(10), wait).await;
        waited.unwrap_or_else(|_| panic!("{:?} is not {state:?}", self.state()));
    }

    /// A request by hand: what the client never sends.
    async fn raw(&self, request: &str) -> String {
        use std::io::{Read, Write};
        let path = self.folder.path().join("control.sock");
        let request = request.to_owned();
        let asked = tokio::task::spawn_blocking(move || {
            let mut socket = std::os::unix::net::UnixStream::connect(path).unwrap();
            socket.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            socket.read_to_string(&mut answer).unwrap();
            answer
        });
        asked.await.unwrap()
    }
}

/// A launcher whose agent is connected all the same.
async fn up() -> (Launcher, Arc<Connected>) {
    let launcher = Launcher::start().await;
    let session = Arc::new(Connected::default());
    launcher.connect(&session);
    (launcher, session)
}

fn a() -> AgentId {
    "a".parse().unwrap()
}

fn refusal<T: std::fmt::Debug>(asked: Result<T, AskError>) -> Refusal {
    match asked.unwrap_err() {
        AskError::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_route_reaches_the_maintenance_and_comes_back() {
    let launcher = Launcher::start().await;
    let client = launcher.client();
    let secret = |text: &str| Secret::new(text.to_owned());
    assert_eq!(client.status().await.unwrap().agents[0].state, "parked");
    assert_eq!(client.stores(&a()).await.unwrap()[0].device_id, "OLD");
    assert_eq!(client.prune_stores(&a()).await.unwrap().len(), 1);
    assert_eq!(client.devices(&a()).await.unwrap()[0].last_seen_ms, Some(5));
    assert_eq!(client.prune_devices(&a()).await.unwrap().len(), 1);
    let checks = client.examine(&a()).await.unwrap();
    assert_eq!(checks[0].name, "state");
    assert_eq!(checks[0].outcome, Grade::Bad);
    assert!(checks[0].finding.starts_with("parked: token_invalid"), "{checks:?}");
    assert_eq!((checks[1].name.as_str(), checks[1].outcome), ("clock", Grade::Notable));
    client.reset(&a(), Some(secret("pass"))).await.unwrap();
    client.reset(&a(), None).await.unwrap();
    client.set_recovery_key(&a(), secret("EsT x")).await.unwrap();
    assert_eq!(client.show_recovery_key(&a()).await.unwrap().expose(), "shown once");
    client.restart(&a()).await.unwrap();
    client.begin_rekey(&a(), &Secret::new([0xa7; 32])).await.unwrap();
    let written = client.backup(&a(), Path::new("/x/a.backup")).await.unwrap();
    assert_eq!((written.files, written.size), (3, 99));
    assert_eq!(
        launcher.maintenance.taken(),
        [
            "stores",
            "prune_stores",
            "devices",
            "prune_devices",
            "examine true",
            "reset Some(\"pass\")",
            "reset None",
            "set_recovery_key EsT x",
            "show_recovery_key",
            "begin_rekey a7",
            "backup /x/a.backup",
        ]
    );
    launcher.wait_for(AgentState::Parked).await;
}

#[tokio::test]
async fn what_is_refused_arrives_with_its_way_out() {
    let launcher = Launcher::start().await;
    let client = launcher.client();
    launcher.maintenance.refuse("no password is configured", "give it with --password-stdin");
    let refused = Refusal::new("no password is configured", "give it with --password-stdin");
    assert_eq!(refusal(client.reset(&a(), None).await), refused);
    assert_eq!(refusal(client.prune_devices(&a()).await), refused);
    assert_eq!(refusal(client.backup(&a(), Path::new("/x")).await), refused);
    // And the agent goes on.
    launcher.wait_for(AgentState::Parked).await;
    assert_eq!(client.stores(&a()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_agent_that_is_not_run_is_refused() {
    let launcher = Launcher::start().await;
    let other = "b".parse().unwrap();
    for refused in [
        refusal(launcher.client().devices(&other).await),
        refusal(launcher.client().restart(&other).await),
    ] {
        assert_eq!(refused.reason, "there is no agent `b` that this launcher runs");
        assert!(refused.action.unwrap().contains("launcher status"));
    }
}

#[tokio::test]
async fn an_agent_is_let_go_when_the_client_goes_away() {
    let launcher = Launcher::start().await;
    launcher.maintenance.hang();
    let client = launcher.client();
    let agent = a();
    let asked = client.reset(&agent, None);
    let held = async {
        while launcher.maintenance.taken().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        _ = asked => panic!("the reset was to hang"),
        () = held => {}
    }
    assert_eq!(launcher.maintenance.taken(), ["reset None"]);
    assert_eq!(launcher.state(), Some(AgentState::Stopping));
    launcher.wait_for(AgentState::Parked).await;
}

#[tokio::test]
async fn two_cannot_have_the_same_agent() {
    let launcher = Launcher::start().await;
    launcher.maintenance.hang();
    let (client, agent) = (launcher.client(), a());
    let first = client.reset(&agent, None);
    let second = async {
        launcher.wait_for(AgentState::Stopping).await;
        refusal(client.reset(&agent, None).await)
    };
    tokio::select! {
        _ = first => panic!("the reset was to hang"),
        refused = second => assert_eq!(refused.reason, "another command is working on `a`"),
    }
}

#[tokio::test]
async fn a_stop_waits_for_a_step_but_not_for_ever() {
    let mut launcher = Launcher::start().await;
    launcher.maintenance.hang();
    let (client, agent) = (launcher.client(), a());
    let asked = client.reset(&agent, None);
    let stopped = async {
        launcher.wait_for(AgentState::Stopping).await;
        launcher.stop.ask();
        // What comes after the stop does not even begin.
        refusal(client.restart(&agent).await)
    };
    let (asked, refused) = tokio::join!(asked, stopped);
    assert_eq!(refusal(asked).reason, "the launcher is stopping");
    assert_eq!(refused.reason, "the launcher is stopping");
    launcher.stop.demand();
    while launcher.tasks.join_next().await.is_some() {}
    assert!(matches!(client.status().await, Err(AskError::NotRunning { .. })));
}

#[tokio::test]
async fn a_request_that_is_not_understood_is_not_repeated() {
    let launcher = Launcher::start().await;
    let post = |route: &str, body: &str| {
        format!(
            "POST /v1/agents/a/{route} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    for (request, status) in [
        (post("rekey", "{\"new_key\":\"hunter2\"}"), "422"),
        (post("recovery-key", "{\"key\": hunter2"), "400"),
        (post("backup", "{\"path\":\"hunter2/a.backup\"}"), "422"),
        (post("reset", &format!("{{\"password\":\"hunter2{}\"}}", "x".repeat(20_000))), "413"),
        (post("hunter2", "{}"), "404"),
        (
            "DELETE /v1/agents/a/reset HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".into(),
            "404",
        ),
        (
            "GET /v1/agents/..A/doctor HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".into(),
            "404",
        ),
    ] {
        let answer = launcher.raw(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert!(answer.contains("\"reason\":") && !answer.contains("hunter2"), "{answer}");
    }
    assert_eq!(launcher.maintenance.taken(), [""; 0]);
}

#[tokio::test]
async fn what_is_done_or_refused_or_abandoned_is_written_down_with_who_asked() {
    let launcher = Launcher::start().await;
    let client = launcher.client();
    client.reset(&a(), Some(Secret::new("hunter2".to_owned()))).await.unwrap();
    client.show_recovery_key(&a()).await.unwrap();
    client.stores(&a()).await.unwrap();
    launcher.maintenance.refuse("no password is configured", "give it");
    refusal(client.prune_devices(&a()).await);
    // Refused before anybody at the desk heard of it.
    refusal(client.restart(&"b".parse().unwrap()).await);
    let malformed = "POST /v1/agents/a/rekey HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                     content-length: 7\r\n\r\nhunter2";
    launcher.raw(malformed).await;
    launcher.raw(&malformed.replace("/rekey", "/hunter2")).await;
    launcher.maintenance.hang();
    let agent = a();
    {
        let asked = client.reset(&agent, None);
        let held = launcher.wait_for(AgentState::Stopping);
        tokio::select! {
            _ = asked => panic!("the reset was to hang"),
            () = held => {}
        }
    }
    launcher.wait_for(AgentState::Parked).await;
    let text = fs_err::read_to_string(launcher.folder.path().join("audit.jsonl")).unwrap();
    assert!(!text.contains("hunter2") && !text.contains("shown once"), "{text}");
    let own = (u64::from(rustix::process::geteuid().as_raw()), u64::from(std::process::id()));
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        let asker = (line["uid"].as_u64().unwrap(), line["pid"].as_u64().unwrap());
        assert_eq!(asker, own, "{line}");
    }
    let shown = |line: &serde_json::Value| {
        let word = |name: &str| line[name].as_str().unwrap_or("-").to_owned();
        [word("action"), word("agent"), word("outcome")].join(" ")
    };
    assert_eq!(
        lines.iter().map(shown).collect::<Vec<_>>(),
        [
            "reset a began",
            "reset a done",
            "show_recovery_key a began",
            "show_recovery_key a done",
            "prune_devices a began",
            "prune_devices a refused",
            "restart b refused",
            "POST /v1/agents/{id}/rekey a refused",
            "reset a began",
            "reset a abandoned",
        ]
    );
}

#[test]
fn states_are_graded() {
    for (state, grade) in [
        (AgentState::Running, Grade::Good),
        (AgentState::Degraded, Grade::Notable),
        (AgentState::Backoff, Grade::Bad),
        (AgentState::Parked, Grade::Bad),
    ] {
        assert_eq!(state_check(&Standing::plain(state)).outcome, grade);
    }
    let standing = Standing {
        state: AgentState::Degraded,
        reason: Some("unsigned: nobody signed it".to_owned()),
        action: Some("sign it".to_owned()),
    };
    let check = state_check(&standing);
    assert_eq!(check.finding, "degraded: unsigned: nobody signed it");
    assert_eq!(check.action.as_deref(), Some("sign it"));
}
