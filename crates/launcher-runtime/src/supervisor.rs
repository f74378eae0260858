//! Runs one task per agent and obeys the core.
//!
//! The supervisor owns every agent's task and decides nothing. Each turn makes
//! one [`Event`] of whatever happened first, asks the [`Fleet`] what follows
//! from it, and carries that out. A successor of an agent's task starts only
//! after the predecessor was joined and its store is closed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use launcher_core::{
    agent::AgentId,
    fault::Fault,
    fleet::{Effect, Event, Fleet, START_LIMIT, Wanted},
    spec::AgentSpec,
    status::{AgentState, Standing},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{AbortHandle, Id, JoinError, JoinSet},
};
use tracing::{Instrument, error, info, info_span, warn};

use crate::{
    clock::Clock,
    locks::Locks,
    ports::{Behavior, Connector, journal::Journals},
    random,
    report::{AgentStatus, Report},
    stop::Stop,
    task,
    worker::{self, News, Worker},
};

/// How long agents may take to finish what they have in hand before they are
/// cut off, so that the whole stop stays below ten seconds.
const GRACE: Duration = Duration::from_secs(8);

/// How long a task that was cut off may take to unwind. One that blocks its
/// thread never does; the process ends without it.
const CUT_OFF_LIMIT: Duration = Duration::from_secs(1);

/// How often a stop tells for whom it waits.
const STOP_NOTICE: Duration = Duration::from_secs(3);

/// Workers tell little: ready once, health when it changes.
const NEWS_BOUND: usize = 64;

/// Something an operator or a file change asks of the supervisor.
#[derive(Debug)]
pub enum Order {
    /// The files were read again.
    Wanted {
        /// All agents there are.
        agents: BTreeMap<AgentId, Wanted>,
        /// Those that somebody acted on.
        touched: BTreeSet<AgentId>,
    },
    /// An operator wants an agent's files for a moment.
    Hold {
        /// Whose.
        agent: AgentId,
        /// Who asks. Dropped without an answer when the supervisor stops.
        granted: oneshot::Sender<Result<Held, HoldError>>,
    },
    /// Somebody wants to know whether the supervisor is at work.
    Answer(oneshot::Sender<()>),
}

/// Why an agent cannot be held.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HoldError {
    /// There is no such agent, or it is switched off, or its file is not valid.
    #[error("there is no agent `{0}` that this launcher runs")]
    Unknown(AgentId),
    /// Somebody else has it.
    #[error("another command is working on `{0}`")]
    Busy(AgentId),
    /// Its files cannot be had.
    #[error("{0}")]
    Fault(Fault),
    /// The launcher is stopping.
    #[error("the launcher is stopping")]
    Stopping,
}

/// An agent whose task has ended and whose files are locked by this process.
/// When this is dropped, the agent goes on.
#[derive(Debug)]
pub struct Held {
    spec: AgentSpec,
    released: mpsc::UnboundedSender<AgentId>,
}

impl Held {
    /// The agent as its files described it when it was held.
    pub fn spec(&self) -> &AgentSpec {
        &self.spec
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // The supervisor is gone only if nothing is left to start.
        drop(self.released.send(self.spec.id.clone()));
    }
}

/// Holds an agent: asks for it, and waits until its task has ended.
///
/// # Errors
///
/// See [`HoldError`].
///
/// # Cancel safety
///
/// An agent whose asker went away is started again.
pub async fn hold(orders: &mpsc::Sender<Order>, agent: AgentId) -> Result<Held, HoldError> {
    let (granted, answer) = oneshot::channel();
    let asked = orders.send(Order::Hold { agent, granted }).await;
    asked.map_err(|_| HoldError::Stopping)?;
    answer.await.unwrap_or(Err(HoldError::Stopping))
}

/// Whether the supervisor takes orders and answers them within this time.
pub async fn answers(orders: &mpsc::Sender<Order>, within: Duration) -> bool {
    let asked = async {
        let (answer, answered) = oneshot::channel();
        orders.send(Order::Answer(answer)).await.is_ok() && answered.await.is_ok()
    };
    tokio::time::timeout(within, asked).await.unwrap_or(false)
}

/// Makes the behavior that an agent's config describes.
pub type MakeBehavior = Box<dyn Fn(&AgentSpec) -> Arc<dyn Behavior> + Send + Sync>;

/// Runs the agents.
pub struct Supervisor {
    fleet: Fleet,
    connector: Arc<dyn Connector>,
    journals: Arc<dyn Journals>,
    make_behavior: MakeBehavior,
    locks: Arc<Locks>,
    board: StatusBoard,
    standings: watch::Sender<BTreeMap<AgentId, Standing>>,
    clock: Clock,
    tasks: JoinSet<Result<(), Fault>>,
    running: BTreeMap<AgentId, Running>,
    news: (mpsc::Sender<News>, mpsc::Receiver<News>),
    waiting_for: BTreeMap<AgentId, oneshot::Sender<Result<Held, HoldError>>>,
    held: BTreeSet<AgentId>,
    released: (mpsc::UnboundedSender<AgentId>, mpsc::UnboundedReceiver<AgentId>),
}

struct Running {
    id: Id,
    abort: AbortHandle,
    stop: Stop,
}

/// Shows every agent's status, to any number of askers, at any time.
#[derive(Clone, Debug)]
pub struct StatusBoard {
    standings: watch::Receiver<BTreeMap<AgentId, Standing>>,
    specs: Arc<Mutex<BTreeMap<AgentId, AgentSpec>>>,
    reports: Arc<Mutex<BTreeMap<AgentId, Arc<Report>>>>,
}

impl StatusBoard {
    /// All agents, by id.
    pub fn snapshot(&self) -> Vec<AgentStatus> {
        let reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        let standings = self.standings.borrow();
        standings
            .iter()
            .map(|(id, standing)| match reports.get(id) {
                Some(report) => report.status(id, standing.clone()),
                None => Report::default().status(id, standing.clone()),
            })
            .collect()
    }

    /// Waits until some agent stands otherwise than when this was last asked;
    /// for ever if there is no supervisor any more. Returns how all stand.
    ///
    /// Cancel safe.
    pub async fn changed(&mut self) -> BTreeMap<AgentId, Standing> {
        match self.standings.changed().await {
            Ok(()) => self.standings.borrow_and_update().clone(),
            Err(_) => std::future::pending().await,
        }
    }

    /// How an agent stands.
    pub fn standing(&self, id: &AgentId) -> Option<Standing> {
        self.standings.borrow().get(id).cloned()
    }

    /// An agent as its file describes it, if this launcher runs it.
    pub fn spec(&self, id: &AgentId) -> Option<AgentSpec> {
        self.specs.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// What the agent tells about itself.
    pub fn report(&self, id: &AgentId) -> Arc<Report> {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        reports.entry(id.clone()).or_default().clone()
    }

    fn forget_others(&self, standings: &BTreeMap<AgentId, Standing>) {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        reports.retain(|id, _| standings.contains_key(id));
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Supervisor").field("fleet", &self.fleet).finish_non_exhaustive()
    }
}

impl Supervisor {
    /// A supervisor without agents; the first [`Order::Wanted`] brings them.
    pub fn new(
        connector: Arc<dyn Connector>,
        journals: Arc<dyn Journals>,
        make_behavior: MakeBehavior,
        locks: Arc<Locks>,
    ) -> Self {
        let (standings, receiver) = watch::channel(BTreeMap::new());
        Self {
            fleet: Fleet::new(),
            connector,
            journals,
            make_behavior,
            locks,
            board: StatusBoard {
                standings: receiver,
                specs: Arc::default(),
                reports: Arc::default(),
            },
            standings,
            clock: Clock::start(),
            tasks: JoinSet::new(),
            running: BTreeMap::new(),
            news: mpsc::channel(NEWS_BOUND),
            waiting_for: BTreeMap::new(),
            held: BTreeSet::new(),
            released: mpsc::unbounded_channel(),
        }
    }

    /// Where to look up how the agents are.
    pub fn board(&self) -> StatusBoard {
        self.board.clone()
    }

    /// Runs until a stop was asked for and every agent's task has ended.
    ///
    /// Returns the agents that had to be cut off; empty means a clean stop.
    pub async fn run(mut self, mut orders: mpsc::Receiver<Order>, stop: Stop) -> Vec<AgentId> {
        while !self.fleet.is_stopping() {
            let event = tokio::select! {
                biased; // A stop goes before everything that could start more work.
                () = stop.asked() => Event::StopAsked,
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended),
                Some(news) = self.news.1.recv() => told(news),
                Some(agent) = self.released.1.recv() => self.on_released(agent),
                Some(order) = orders.recv() => match self.ordered(order) {
                    Some(event) => event,
                    None => continue,
                },
                () = self.clock.sleep_until(self.fleet.deadline()) => Event::DeadlineReached,
            };
            self.apply(event);
        }
        self.wind_down(stop).await
    }

    async fn wind_down(mut self, stop: Stop) -> Vec<AgentId> {
        let grace = tokio::time::sleep(GRACE);
        tokio::pin!(grace);
        let mut notice = tokio::time::interval(STOP_NOTICE);
        notice.reset();
        while !self.fleet.is_done() {
            tokio::select! {
                biased;
                () = stop.demanded() => return self.cut_off("a second signal").await,
                () = &mut grace => return self.cut_off("the time for stopping is over").await,
                Some(ended) = self.tasks.join_next_with_id() => {
                    let event = self.ended(ended);
                    self.apply(event);
                }
                Some(agent) = self.released.1.recv() => {
                    let event = self.on_released(agent);
                    self.apply(event);
                }
                _ = self.news.1.recv() => {}
                _ = notice.tick() => info!(agents = self.names(), "still stopping"),
            }
        }
        Vec::new()
    }

    async fn cut_off(mut self, why: &'static str) -> Vec<AgentId> {
        let names: Vec<AgentId> = self.running.keys().cloned().collect();
        error!(agents = self.names(), why, "cut off before they had finished");
        for running in self.running.values() {
            running.stop.demand();
            running.abort.abort();
        }
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(CUT_OFF_LIMIT, all).await.is_err() {
            warn!("some of them block their thread; the process ends without them");
        }
        names
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.running.keys().map(AgentId::as_str).collect();
        names.join(", ")
    }

    fn apply(&mut self, event: Event) {
        let is_reload = matches!(event, Event::Wanted { .. });
        for effect in self.fleet.on_event(event, self.clock.now()) {
            self.execute(effect);
        }
        let standings = self.fleet.standings();
        self.board.forget_others(&standings);
        if is_reload {
            let mut specs = self.board.specs.lock().unwrap_or_else(PoisonError::into_inner);
            *specs = standings
                .keys()
                .filter_map(|id| Some((id.clone(), self.fleet.spec(id)?.clone())))
                .collect();
        }
        self.standings.send_replace(standings);
    }

    fn execute(&mut self, effect: Effect) {
        match effect {
            Effect::Launch(spec) => self.launch(*spec),
            Effect::Stop(agent) => {
                if let Some(running) = self.running.get(&agent) {
                    running.stop.ask();
                }
            }
            Effect::CutOff(agent) => {
                if let Some(running) = self.running.get(&agent) {
                    running.stop.demand();
                    running.abort.abort();
                }
            }
            Effect::Hold(agent) => self.grant(&agent),
            Effect::Parked(agent, fault) => {
                self.refuse(&agent);
                let (reason, action) = (fault.reason(), fault.action_for(&agent));
                let agent = agent.as_str();
                if let Some(event) = fault_event(&fault) {
                    error!(event, agent, reason, action, "found before parking");
                }
                error!(event = "agent_parked", agent, reason, action, "parked");
            }
            Effect::Restarting(agent, fault, wait) => {
                let (agent, reason) = (agent.as_str(), fault.reason());
                warn!(event = "agent_restarting", agent, reason, retry_in = ?wait, "failed; tried again");
            }
            Effect::Stopped(agent) => {
                self.refuse(&agent);
                self.locks.release(&agent);
                info!(event = "agent_stopped", agent = agent.as_str(), "stopped");
            }
        }
    }

    fn ordered(&mut self, order: Order) -> Option<Event> {
        match order {
            Order::Wanted { agents, touched } => Some(Event::Wanted { agents, touched }),
            Order::Answer(asked) => {
                // Whoever asked may have lost patience.
                asked.send(()).ok();
                None
            }
            Order::Hold { agent, granted } => {
                let refused = if self.fleet.spec(&agent).is_none() {
                    Some(HoldError::Unknown(agent.clone()))
                } else if self.held.contains(&agent) || self.waiting_for.contains_key(&agent) {
                    Some(HoldError::Busy(agent.clone()))
                } else {
                    None
                };
                if let Some(refused) = refused {
                    // Whoever asked has gone away otherwise.
                    drop(granted.send(Err(refused)));
                    return None;
                }
                self.waiting_for.insert(agent.clone(), granted);
                Some(Event::HoldAsked(agent))
            }
        }
    }

    /// Hands an agent whose task has ended to whoever waits for it.
    fn grant(&mut self, agent: &AgentId) {
        self.held.insert(agent.clone());
        let released = self.released.0.clone();
        let (Some(granted), Some(spec)) = (self.waiting_for.remove(agent), self.fleet.spec(agent))
        else {
            drop(released.send(agent.clone()));
            return;
        };
        let held = Held { spec: spec.clone(), released };
        // Dropping what nobody takes releases it.
        drop(granted.send(match self.locks.acquire(&held.spec) {
            Ok(()) => Ok(held),
            Err(fault) => Err(HoldError::Fault(fault)),
        }));
    }

    /// Tells whoever waits for an agent that it went another way meanwhile.
    fn refuse(&mut self, agent: &AgentId) {
        if let Some(granted) = self.waiting_for.remove(agent) {
            let why = match self.fleet.is_stopping() {
                true => HoldError::Stopping,
                false => HoldError::Unknown(agent.clone()),
            };
            drop(granted.send(Err(why)));
        }
    }

    fn on_released(&mut self, agent: AgentId) -> Event {
        self.held.remove(&agent);
        Event::Released(agent)
    }

    fn launch(&mut self, spec: AgentSpec) {
        let id = spec.id.clone();
        let stop = Stop::new();
        let worker = Worker {
            behavior: (self.make_behavior)(&spec),
            connector: self.connector.clone(),
            journal: self.journals.journal(&spec),
            report: self.board.report(&id),
            stop: stop.clone(),
            news: self.news.0.clone(),
            clock: self.clock,
            spec,
        };
        let locks = self.locks.clone();
        let span = info_span!("agent", agent = id.as_str());
        let life = async move {
            locks.acquire(&worker.spec)?;
            worker::run(worker).await
        };
        let abort = task::spawn(&mut self.tasks, life.instrument(span));
        self.running.insert(id, Running { id: abort.id(), abort, stop });
    }

    fn ended(&mut self, ended: Result<(Id, Result<(), Fault>), JoinError>) -> Event {
        let (id, fault) = match ended {
            Ok((id, Ok(()))) => (id, None),
            Ok((id, Err(fault))) => (id, Some(fault)),
            Err(failed) => (failed.id(), Some(broken_off(failed))),
        };
        let agent = self.running.iter().find(|(_, running)| running.id == id);
        let agent = agent.map(|(agent, _)| agent.clone());
        let Some(agent) = agent else { return Event::DeadlineReached };
        self.running.remove(&agent);
        Event::Ended { agent, fault, jitter: random::fraction() }
    }
}

fn broken_off(failed: JoinError) -> Fault {
    match failed.is_panic() {
        true => task::panicked(),
        false => Fault::Stuck { what: "starting".to_owned(), limit: START_LIMIT },
    }
}

fn told(news: News) -> Event {
    match news {
        News::Ready(agent) => Event::Ready(agent),
        News::Health(agent, found) => Event::Health(agent, found),
    }
}

/// The log event of its own that some faults have besides `agent_parked`.
fn fault_event(fault: &Fault) -> Option<&'static str> {
    match fault.code() {
        code @ ("store_key_wrong" | "store_locked" | "store_corrupt" | "store_rolled_back"
        | "store_cloned" | "token_invalid") => Some(code),
        "keys_differ" => Some("keys_disputed"),
        _ => None,
    }
}

impl StatusBoard {
    /// Whether any agent is in this state.
    pub fn any(&self, state: AgentState) -> bool {
        self.standings.borrow().values().any(|standing| standing.state == state)
    }
}

#[cfg(test)]
mod tests;
