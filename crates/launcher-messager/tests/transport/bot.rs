//! An agent as the launcher runs it: the real supervisor, worker and journal,
//! with a behavior that answers what it hears.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use launcher_core::{
    agent::AgentId,
    conversation::Message,
    fleet::Wanted,
    secret::Secret,
    spec::{
        Account, AgentSpec, AnswerPolicy, BehaviorSpec, CatchUp, Encryption, InvitePolicy, Network,
        SettingsPolicy, TrustMode, UndecryptablePolicy, VerificationPolicy,
    },
    status::{AgentState, Standing},
};
use launcher_journal::SqliteJournals;
use launcher_messager::{
    MessagerConnector,
    client::{Client, Me},
    crypto::AccountId,
};
use launcher_runtime::{
    Order, Report, StatusBoard, Supervisor,
    locks::Locks,
    ports::{Behavior, BehaviorFault, Response, Session, Stage},
    stop::Stop,
};
use tempfile::TempDir;
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    person::TICK,
    world::{World, key, soon},
};

/// An agent's folder and what its file says.
pub(crate) struct Bot {
    pub(crate) spec: AgentSpec,
    pub(crate) me: Me,
    connector: MessagerConnector,
    _folder: TempDir,
}

/// A launcher that runs some agents.
pub(crate) struct Launcher {
    board: StatusBoard,
    stop: Stop,
    orders: mpsc::Sender<Order>,
    running: JoinHandle<Vec<AgentId>>,
}

impl Bot {
    /// An agent that was never started.
    pub(crate) async fn new(world: &World, name: &str) -> Self {
        let token = world.token(name);
        let me = Client::new(&world.connections, world.url(), token.clone()).me().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join(name);
        let spec = AgentSpec {
            id: name.parse().unwrap(),
            enabled: true,
            folder: home.clone(),
            account: Account {
                network: Network::Messager,
                homeserver: world.url(),
                user_id: String::new(),
                password: None,
                access_token: Some(token),
            },
            encryption: Encryption {
                store_path: home.join("data/crypto"),
                pickle_key: key(),
                recovery_key: None,
                trust_mode: TrustMode::Tofu,
            },
            invites: InvitePolicy { from: vec!["*".to_owned()], ..InvitePolicy::default() },
            verification: VerificationPolicy::default(),
            catch_up: CatchUp { max_age: Duration::from_secs(3600) },
            undecryptable: UndecryptablePolicy { notice_after: None },
            answer: AnswerPolicy::default(),
            settings: SettingsPolicy::default(),
            rooms: BTreeMap::new(),
            behaviors: vec![BehaviorSpec::Echo {
                prefix: "echo: ".to_owned(),
                delay: Duration::ZERO,
                files: false,
            }],
        };
        let connector = MessagerConnector::over(world.connections.clone());
        Self { spec, me, connector, _folder: folder }
    }

    pub(crate) fn account(&self) -> AccountId {
        self.me.account
    }

    /// The client of its device, past the agent.
    pub(crate) fn client(&self, world: &World) -> Client {
        let token = self.spec.account.access_token.clone().unwrap();
        Client::new(&world.connections, world.url(), token)
    }

    /// Changes what its file says.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut AgentSpec)) -> Self {
        change(&mut self.spec);
        self
    }

    /// Another device of its account becomes the agent's.
    pub(crate) async fn take_token(&mut self, world: &World, token: Secret<String>) {
        let client = Client::new(&world.connections, world.url(), token.clone());
        self.me = client.me().await.unwrap();
        self.spec.account.access_token = Some(token);
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.spec.encryption.store_path.join("crypto.db")
    }

    /// Starts it, without waiting for anything.
    pub(crate) async fn launch(&self) -> Launcher {
        Launcher::of(&[self]).await
    }

    /// Starts it, and waits until it runs.
    pub(crate) async fn start(&self) -> Launcher {
        let launcher = self.launch().await;
        launcher.until(self, AgentState::Running).await;
        launcher
    }
}

impl Launcher {
    /// Runs these agents in one process.
    pub(crate) async fn of(bots: &[&Bot]) -> Self {
        let connector = Arc::new(bots[0].connector.clone());
        let journals = Arc::new(SqliteJournals::default());
        let behavior = Box::new(|_: &AgentSpec| Arc::new(Echo) as Arc<dyn Behavior>);
        let supervisor = Supervisor::new(connector, journals, behavior, Arc::new(Locks::default()));
        let (board, stop) = (supervisor.board(), Stop::new());
        let (orders, receiver) = mpsc::channel(8);
        let running = tokio::spawn(supervisor.run(receiver, stop.clone()));
        let launcher = Self { board, stop, orders, running };
        launcher.order(bots).await;
        launcher
    }

    /// The files were read again, and somebody has touched them.
    pub(crate) async fn order(&self, bots: &[&Bot]) {
        let wanted = |bot: &&Bot| (bot.spec.id.clone(), Wanted::Run(Box::new(bot.spec.clone())));
        let agents: BTreeMap<AgentId, Wanted> = bots.iter().map(wanted).collect();
        let touched: BTreeSet<AgentId> = agents.keys().cloned().collect();
        self.orders.send(Order::Wanted { agents, touched }).await.unwrap();
    }

    /// Waits until an agent is in this state; returns how it is then.
    pub(crate) async fn until(&self, bot: &Bot, state: AgentState) -> Standing {
        soon(async {
            loop {
                match self.board.standing(&bot.spec.id) {
                    Some(standing) if standing.state == state => return standing,
                    _ => tokio::time::sleep(TICK).await,
                }
            }
        })
        .await
    }

    /// Waits until an agent that was parked was tried again, and is parked again.
    pub(crate) async fn until_tried(&self, bot: &Bot) {
        let mut board = self.board.clone();
        soon(async {
            let mut was_tried = false;
            loop {
                let all = board.changed().await;
                let is_parked = all[&bot.spec.id].state == AgentState::Parked;
                if was_tried && is_parked {
                    return;
                }
                was_tried |= !is_parked;
            }
        })
        .await;
    }

    /// How an agent is now.
    pub(crate) fn standing(&self, bot: &Bot) -> Standing {
        self.board.standing(&bot.spec.id).unwrap()
    }

    pub(crate) fn report(&self, bot: &Bot) -> Arc<Report> {
        self.board.report(&bot.spec.id)
    }

    /// What operators ask.
    pub(crate) fn session(&self, bot: &Bot) -> Arc<dyn Session> {
        self.report(bot).session().unwrap()
    }

    /// Stops it as a signal would.
    pub(crate) async fn stop(self) {
        self.stop.ask();
        assert_eq!(soon(self.running).await.unwrap(), [], "all ended in order");
    }

    /// Ends it as a kill would: at whatever it is.
    pub(crate) async fn kill(self) {
        self.running.abort();
        drop(self.running.await);
    }
}

/// Says what it hears.
#[derive(Debug)]
struct Echo;

#[async_trait]
impl Behavior for Echo {
    async fn on_message(
        &self,
        message: &Message,
        _stage: &dyn Stage,
    ) -> Result<Option<Response>, BehaviorFault> {
        Ok(Some(Response::say(format!("echo: {}", message.body))))
    }
}
