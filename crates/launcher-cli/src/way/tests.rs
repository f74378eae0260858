//! Which way is found to an agent, and what a start without a launcher leaves.

pub(crate) mod trust;

use std::{
    fmt,
    sync::Mutex,
    time::{Duration, Instant},
};

use launcher_control::{desk::Desk, server::ControlSocket, wire::Grade};
use launcher_core::{
    fleet::Wanted,
    names::{EventId, UserId},
    spec::{
        Account, BehaviorSpec, CatchUp, Encryption, InvitePolicy, Network, TrustMode,
        UndecryptablePolicy, VerificationPolicy,
    },
};
use launcher_runtime::{
    AccountFacts, Order, Report, Supervisor,
    ports::{
        Answer as Reply, Arrivals, Notice, SendFault, Session, journal::Journal, trust::Trust,
    },
    stop::Stop,
};
use tempfile::TempDir;
use tokio::{sync::mpsc, task::JoinSet};

use self::trust::Trustee;
use super::*;

/// Comes up at once, and notes what is done with it.
#[derive(Debug, Default)]
struct Ready {
    done: Arc<Mutex<Vec<&'static str>>>,
    fault: Option<Fault>,
    takes: Duration,
    trustee: Option<Arc<Trustee>>,
}

impl Ready {
    /// As long as it takes to ask a server a few things.
    fn slow() -> Self {
        Self { takes: Duration::from_millis(150), ..Self::default() }
    }
}

struct Connected(Arc<Mutex<Vec<&'static str>>>, Option<Arc<Trustee>>);

#[async_trait]
impl Connector for Ready {
    async fn connect(
        &self,
        _spec: &AgentSpec,
        report: Arc<Report>,
        journal: Arc<dyn Journal>,
    ) -> Result<Arc<dyn Session>, Fault> {
        tokio::time::sleep(self.takes).await;
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        journal.begin().await?;
        report.set_facts(AccountFacts {
            device_id: Some("NEW".to_owned()),
            cross_signed: true,
            ..AccountFacts::default()
        });
        Ok(Arc::new(Connected(self.done.clone(), self.trustee.clone())))
    }
}

#[async_trait]
impl Session for Connected {
    fn own(&self) -> UserId {
        UserId::new("@echo:hs")
    }

    async fn wait(&self) -> Result<(), Fault> {
        self.0.lock().unwrap().push("wait");
        std::future::pending().await
    }

    async fn read(&self) -> Result<Arrivals, Fault> {
        self.0.lock().unwrap().push("read");
        Ok(Arrivals::default())
    }

    async fn send(&self, _answer: &Reply) -> Result<EventId, SendFault> {
        self.0.lock().unwrap().push("send");
        Ok(EventId::new("$e"))
    }

    async fn send_notice(&self, _notice: &Notice) -> Result<EventId, SendFault> {
        self.0.lock().unwrap().push("send");
        Ok(EventId::new("$e"))
    }

    async fn close(&self) {
        self.0.lock().unwrap().push("close");
    }

    fn trust(&self) -> Option<&dyn Trust> {
        self.1.as_deref().map(|trustee| trustee as &dyn Trust)
    }
}

impl fmt::Debug for dyn Way {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.describe())
    }
}

fn tools(connector: Ready) -> Arc<Tools> {
    let real = Networks::new().unwrap();
    let journals: Arc<dyn Journals> = Arc::new(SqliteJournals::default());
    Arc::new(Tools {
        connector: Arc::new(connector),
        maintenance: real.maintenance(journals.clone()),
        archives: Arc::new(AgentArchives),
        journals,
    })
}

pub(crate) fn spec(folder: &TempDir) -> AgentSpec {
    let folder = folder.path().join("a");
    AgentSpec {
        id: "a".parse().unwrap(),
        enabled: true,
        account: Account {
            network: Network::Matrix,
            homeserver: "http://127.0.0.1:9".parse().unwrap(),
            user_id: "@a:hs.test".to_owned(),
            password: None,
            access_token: Some(Secret::new("t".to_owned())),
        },
        encryption: Encryption {
            store_path: folder.join("data/crypto"),
            pickle_key: Secret::new([7; 32]),
            recovery_key: None,
            trust_mode: TrustMode::Tofu,
        },
        folder,
        invites: InvitePolicy::default(),
        verification: VerificationPolicy::default(),
        catch_up: CatchUp { max_age: Duration::from_secs(1) },
        undecryptable: UndecryptablePolicy { notice_after: None },
        answer: launcher_core::spec::AnswerPolicy::default(),
        settings: launcher_core::spec::SettingsPolicy::default(),
        rooms: std::collections::BTreeMap::new(),
        behaviors: vec![BehaviorSpec::Echo {
            prefix: String::new(),
            delay: Duration::ZERO,
            files: false,
        }],
    }
}

#[tokio::test]
async fn an_agent_that_nobody_runs_is_worked_on_here_and_kept_from_others() {
    let folder = TempDir::new().unwrap();
    let (spec, tools) = (spec(&folder), tools(Ready::default()));
    let way = find(&spec, folder.path(), &tools, Purpose::Change).await.unwrap();
    assert_eq!(way.describe(), "no launcher runs a; doing it here");
    assert!(Locks::default().acquire(&spec).is_err());
    drop(way);
    Locks::default().acquire(&spec).unwrap();
}

#[tokio::test]
async fn a_look_locks_nothing_and_makes_nothing() {
    let folder = TempDir::new().unwrap();
    let (spec, tools) = (spec(&folder), tools(Ready::default()));
    let way = find(&spec, folder.path(), &tools, Purpose::Look).await.unwrap();
    assert!(!spec.folder.exists());
    let checks = way.examine().await.unwrap();
    assert_eq!((checks[0].name.as_str(), checks[0].outcome), ("state", Grade::Notable));
    assert_eq!(checks[0].finding, "stopped: no launcher runs it");
    Locks::default().acquire(&spec).unwrap();
    let _way = find(&spec, folder.path(), &tools, Purpose::Look).await.unwrap();
    Locks::default().acquire(&spec).unwrap();
}

#[tokio::test]
async fn a_holder_that_is_no_launcher_here_is_named() {
    let folder = TempDir::new().unwrap();
    let (spec, tools) = (spec(&folder), tools(Ready::default()));
    let other = Locks::default();
    other.acquire(&spec).unwrap();
    for purpose in [Purpose::Look, Purpose::Change] {
        let refused = find(&spec, folder.path(), &tools, purpose).await.unwrap_err();
        let pid = std::process::id();
        assert_eq!(
            refused.reason,
            format!("a is held by process {pid}, which is no launcher on this configuration")
        );
        assert!(refused.action.is_some());
    }
}

#[tokio::test]
async fn a_start_without_a_launcher_reads_nothing_and_ends_in_order() {
    let folder = TempDir::new().unwrap();
    let connector = Ready::default();
    let done = connector.done.clone();
    let (spec, tools) = (spec(&folder), tools(connector));
    let way = find(&spec, folder.path(), &tools, Purpose::Change).await.unwrap();
    let agent = way.come_up().await.unwrap();
    assert_eq!((agent.state.as_str(), agent.device_id.as_deref()), ("running", Some("NEW")));
    assert_eq!(*done.lock().unwrap(), ["close"]);
    assert!(way.take_up().await.unwrap().is_none());
    let life = tools.journals.journal(&spec).begin().await.unwrap();
    assert!(life.clean && life.generation == 2, "{life:?}");
}

#[tokio::test]
async fn a_start_that_fails_says_why_and_what_helps() {
    let folder = TempDir::new().unwrap();
    let fault = Fault::NoDevice { user: "@a:hs.test".to_owned() };
    let connector = Ready { fault: Some(fault.clone()), ..Ready::default() };
    let (spec, tools) = (spec(&folder), tools(connector));
    let way = find(&spec, folder.path(), &tools, Purpose::Change).await.unwrap();
    let started = Instant::now();
    assert_eq!(way.come_up().await.unwrap_err(), Refusal::from(fault));
    assert!(started.elapsed() < READY_LIMIT);
}

/// A launcher that runs the agent, until it is dropped.
struct Launcher {
    orders: mpsc::Sender<Order>,
    _tasks: JoinSet<()>,
}

impl Launcher {
    async fn start(spec: &AgentSpec, own_folder: &Path, tools: &Tools) -> Self {
        let supervisor = Supervisor::new(
            tools.connector.clone(),
            tools.journals.clone(),
            Box::new(launcher_behaviors::make),
            Arc::new(Locks::default()),
        );
        let (orders, received) = mpsc::channel(4);
        let stop = Stop::new();
        let desk = Desk::new(
            supervisor.board(),
            orders.clone(),
            tools.maintenance.clone(),
            tools.archives.clone(),
            stop.clone(),
        );
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs_err::set_permissions(own_folder, private).unwrap();
        let socket = ControlSocket::bind(own_folder).unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { drop(supervisor.run(received, stop).await) });
        tasks.spawn(async move { socket.serve(desk).await.unwrap() });
        let launcher = Self { orders, _tasks: tasks };
        launcher.order(spec).await;
        launcher
    }

    /// What a change of the files leads to.
    async fn order(&self, spec: &AgentSpec) {
        let agents = [(spec.id.clone(), Wanted::Run(Box::new(spec.clone())))].into();
        let order = Order::Wanted { agents, touched: Default::default() };
        self.orders.send(order).await.unwrap();
    }
}

/// The way to an agent as soon as the launcher has taken it.
async fn way_through(
    spec: &AgentSpec,
    own_folder: &Path,
    tools: &Arc<Tools>,
) -> (Launcher, Box<dyn Way>) {
    let launcher = Launcher::start(spec, own_folder, tools).await;
    let client = Client::new(own_folder);
    let settled = |agent: &AgentReply| matches!(agent.state.as_str(), "running" | "parked");
    while !client.status().await.unwrap().agents.first().is_some_and(settled) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (launcher, find(spec, own_folder, tools, Purpose::Change).await.unwrap())
}

#[tokio::test]
async fn an_agent_that_a_launcher_runs_is_worked_on_there() {
    let folder = TempDir::new().unwrap();
    let connector = Ready::default();
    let done = connector.done.clone();
    let (spec, tools) = (spec(&folder), tools(connector));
    let (_launcher, way) = way_through(&spec, folder.path(), &tools).await;
    assert!(way.describe().starts_with("asking the launcher that runs a"), "{way:?}");
    way.come_up().await.unwrap();
    done.lock().unwrap().clear();
    way.restart().await.unwrap();
    assert!(done.lock().unwrap().contains(&"close"));
    let agent = way.come_up().await.unwrap();
    assert_eq!((agent.state.as_str(), agent.device_id.as_deref()), ("running", Some("NEW")));
    // The same refusal as without a launcher.
    let direct = tools.maintenance.reset(&spec, None).await.unwrap_err();
    assert_eq!(way.reset(None).await.unwrap_err(), Refusal::from(direct));
    way.come_up().await.unwrap();
}

#[tokio::test]
async fn an_agent_that_is_parked_again_is_told_with_its_way_out() {
    let folder = TempDir::new().unwrap();
    let fault = Fault::NoDevice { user: "@a:hs.test".to_owned() };
    let connector = Ready { fault: Some(fault.clone()), ..Ready::default() };
    let (spec, tools) = (spec(&folder), tools(connector));
    let (_launcher, way) = way_through(&spec, folder.path(), &tools).await;
    way.restart().await.unwrap();
    let refused = way.come_up().await.unwrap_err();
    assert_eq!(refused.reason, format!("a is not ready (parked): {}", fault.reason()));
    assert_eq!(refused.action, Some(fault.action()));
}

#[tokio::test]
async fn a_change_of_the_files_is_waited_for() {
    let folder = TempDir::new().unwrap();
    let (spec, tools) = (spec(&folder), tools(Ready::slow()));
    let (launcher, way) = way_through(&spec, folder.path(), &tools).await;
    way.come_up().await.unwrap();
    let mut changed = spec.clone();
    changed.catch_up.max_age = Duration::from_secs(2);
    let change = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        launcher.order(&changed).await;
    };
    let (taken, ()) = tokio::join!(way.take_up(), change);
    assert_eq!(taken.unwrap().unwrap().state, "running");
}
