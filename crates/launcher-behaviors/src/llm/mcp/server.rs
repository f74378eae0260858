//! One server: it is started, asked what it has, called, and started again.

use std::{
    collections::{BTreeMap, hash_map::RandomState},
    hash::BuildHasher,
    path::{Path, PathBuf},
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use launcher_core::{
    backoff,
    spec::{ToolServerAt, ToolServerSpec, ToolUse, ToolsSpec},
};
use rmcp::{
    Peer, RoleClient, ServiceError, ServiceExt,
    model::{CallToolRequestParams, CallToolResponse},
    transport::IntoTransport,
};
use serde_json::{Map, Value};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};
use tracing::{info, warn};

use super::{
    connection::{self, Ours},
    content, http,
    listing::{self, Accepted, Known, Seen},
    program,
};
use crate::llm::tools::Outcome;

/// How long a server has at least to begin, and to say what it has.
const BEGINNING: Duration = Duration::from_secs(30);

/// How long a server has to have worked for its next failure to be a first one.
const STABLE: Duration = Duration::from_secs(60);

/// How long a server that says that its tools have changed is left alone before
/// it is asked: it may say so often.
const CALM: Duration = Duration::from_secs(2);

/// How many calls in a row may go unanswered before a server is started anew.
const UNANSWERED: u32 = 3;

/// A server and what it has at the moment.
#[derive(Debug)]
pub(super) struct Server {
    name: String,
    prefix: String,
    spec: ToolServerSpec,
    folder: PathBuf,
    can_ask: bool,
    state: watch::Sender<State>,
    /// What its tools looked like when they were first seen.
    seen: Mutex<Seen>,
}

#[derive(Clone, Debug)]
enum State {
    /// It has not been tried yet, or not since the agent began.
    New,
    Ready(Arc<Ready>),
    /// It was tried, and is not there.
    Absent,
}

/// A server that can be called.
#[derive(Debug)]
pub(super) struct Ready {
    peer: Peer<RoleClient>,
    /// By their names for the model.
    pub(super) tools: BTreeMap<String, Known>,
    health: Arc<Health>,
}

/// What calls have to say about a server.
#[derive(Debug, Default)]
struct Health {
    /// Calls without an answer, since the last one that had one.
    unanswered: AtomicU32,
    broken: Notify,
}

impl Health {
    fn is_silent(&self) {
        if self.unanswered.fetch_add(1, Ordering::Relaxed) + 1 >= UNANSWERED {
            self.broken.notify_one();
        }
    }
}

impl Server {
    pub(super) fn new(name: &str, spec: &ToolServerSpec, folder: &Path, can_ask: bool) -> Self {
        let folder = match &spec.at {
            ToolServerAt::Program { folder: own, .. } => folder.join(own),
            ToolServerAt::Url { .. } => PathBuf::new(),
        };
        Self {
            name: name.to_owned(),
            prefix: format!("{name}{}", ToolsSpec::BETWEEN),
            spec: spec.clone(),
            folder,
            can_ask,
            state: watch::Sender::new(State::New),
            seen: Mutex::default(),
        }
    }

    /// Whether a tool of this name would be its.
    pub(super) fn has(&self, tool: &str) -> bool {
        tool.starts_with(&self.prefix)
    }

    /// It, if it is there.
    pub(super) fn ready(&self) -> Option<Arc<Ready>> {
        match &*self.state.borrow() {
            State::Ready(ready) => Some(ready.clone()),
            State::New | State::Absent => None,
        }
    }

    /// Waits until it has been tried.
    pub(super) async fn settled(&self) {
        let mut states = self.state.subscribe();
        // The sender is ours, so this ends only well.
        drop(states.wait_for(|state| !matches!(state, State::New)).await);
    }

    /// Calls a tool.
    pub(super) async fn call(&self, tool: &str, arguments: &Map<String, Value>) -> Outcome {
        let ready = self.ready();
        let there = ready.as_ref().and_then(|ready| Some((ready, ready.tools.get(tool)?)));
        let Some((ready, known)) = there else {
            return failed("This tool is not available at the moment. Nothing was done.");
        };
        let params =
            CallToolRequestParams::new(known.own_name.clone()).with_arguments(arguments.clone());
        // Dropping the call tells the server that nobody waits for it any more.
        let called = timeout(self.spec.timeout, ready.peer.call_tool_once(params)).await;
        let Ok(called) = called else {
            warn!(event = "tool_late", server = self.name, tool, limit = ?self.spec.timeout, "a tool did not answer in time");
            ready.health.is_silent();
            return failed(
                "There was no answer in time. It is not known whether anything was done: do not \
                 call this again for the same thing, and say so.",
            );
        };
        match called {
            Ok(answer) => {
                ready.health.unanswered.store(0, Ordering::Relaxed);
                match answer {
                    CallToolResponse::Complete(result) => content::outcome(&result),
                    _ => failed("The tool wants more than arguments, which is not possible here."),
                }
            }
            Err(ServiceError::McpError(error)) => content::refused(&error),
            Err(error) => {
                let reason = connection::why(&error);
                warn!(event = "tool_cut_off", server = self.name, tool, %reason, "a tool server failed in a call");
                ready.health.broken.notify_one();
                failed(
                    "The connection to the tool broke. It is not known whether anything was \
                     done: do not call this again for the same thing, and say so.",
                )
            }
        }
    }

    /// Keeps it running.
    ///
    /// # Cancel safety
    ///
    /// Dropping this ends it.
    pub(super) async fn run(&self) {
        let mut attempt = 0;
        let _untried = UntriedAtTheEnd(&self.state);
        loop {
            let started = Instant::now();
            let reason = self.live().await;
            self.state.send_replace(State::Absent);
            if started.elapsed() >= STABLE {
                attempt = 0;
            }
            let wait = backoff::wait(attempt, jitter(), None);
            attempt = attempt.saturating_add(1);
            warn!(event = "tool_server_absent", server = self.name, %reason, retry_in = ?wait, "the agent works without a tool server for now");
            sleep(wait).await;
        }
    }

    /// Runs it once, and says why that ended.
    async fn live(&self) -> String {
        match &self.spec.at {
            ToolServerAt::Program { run, variables, limits, .. } => {
                let plan = program::plan(run, &self.folder, variables, limits);
                let mut program = match program::start(plan).await {
                    Ok(program) => program,
                    Err(reason) => return reason,
                };
                let Some(transport) = program.transport() else {
                    return "the program has no pipes".to_owned();
                };
                let reason = program.attend(&self.name, self.converse(transport)).await;
                program.end().await;
                reason
            }
            ToolServerAt::Url { url, headers } => match http::transport(url, headers) {
                Ok(transport) => self.converse(transport).await,
                Err(reason) => reason,
            },
        }
    }

    /// Speaks with it until it ends, or has to.
    async fn converse<T, E, A>(&self, transport: T) -> String
    where
        T: IntoTransport<RoleClient, E, A>,
        E: std::error::Error + Send + Sync + 'static,
    {
        let limit = self.spec.timeout.max(BEGINNING);
        let ours = Ours::default();
        let changed = ours.changed.clone();
        let service = match timeout(limit, ours.serve(transport)).await {
            Ok(Ok(service)) => service,
            Ok(Err(error)) => return connection::why_not(&error),
            Err(_) => return format!("it did not begin within {limit:?}"),
        };
        let peer = service.peer().clone();
        let health = Arc::new(Health::default());
        let mut ended = pin!(service.waiting());
        let mut told = None;
        loop {
            let listed = tokio::select! {
                biased;
                _ = &mut ended => return connection::ENDED.to_owned(),
                listed = timeout(limit, listing::all(&peer)) => listed,
            };
            let listed = match listed {
                Ok(Ok(listed)) => listed,
                Ok(Err(error)) => return format!("its tools: {}", connection::why(&error)),
                Err(_) => return format!("it did not say within {limit:?} what tools it has"),
            };
            let accepted = self.accept(listed);
            // A server may say as often as it likes that something has changed.
            if told.as_ref() != Some(&accepted) {
                self.tell(&accepted);
            }
            let tools = accepted.tools.clone();
            told = Some(accepted);
            let ready = Ready { peer: peer.clone(), tools, health: health.clone() };
            self.state.send_replace(State::Ready(Arc::new(ready)));
            tokio::select! {
                biased;
                _ = &mut ended => return connection::ENDED.to_owned(),
                () = health.broken.notified() => return "calls fail".to_owned(),
                () = changed.notified() => {}
            }
            tokio::select! {
                biased;
                _ = &mut ended => return connection::ENDED.to_owned(),
                () = sleep(CALM) => {}
            }
        }
    }

    /// What of its tools may be used.
    fn accept(&self, listed: listing::Listed) -> Accepted {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.accept(&self.prefix, &self.spec, listed)
    }

    /// Says in the log what may be used, and what not.
    fn tell(&self, accepted: &Accepted) {
        for (tool, reason) in &accepted.refused {
            warn!(
                event = "tool_dropped",
                server = self.name,
                tool,
                reason,
                "a tool is not offered"
            );
        }
        if accepted.cut {
            warn!(
                event = "tool_list_cut",
                server = self.name,
                "a server has more tools than are read; the others are not offered"
            );
        }
        let asks = |known: &&Known| known.how == ToolUse::Asks;
        let unasked = accepted.tools.values().filter(asks).count();
        if unasked > 0 && !self.can_ask {
            warn!(
                event = "tools_need_approval",
                server = self.name,
                count = unasked,
                "tools are not offered: nobody is named in `approval` who could agree to them"
            );
        }
        info!(
            event = "tool_server_ready",
            server = self.name,
            tools = accepted.tools.len(),
            listed = accepted.listed,
            "a tool server is ready"
        );
    }
}

/// When an agent stops, its servers are as if they had never been tried: its
/// next message, in its next life, waits for them.
struct UntriedAtTheEnd<'a>(&'a watch::Sender<State>);

impl Drop for UntriedAtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.send_replace(State::New);
    }
}

fn failed(text: &str) -> Outcome {
    Outcome { text: text.to_owned(), failed: true }
}

/// A number from 0 to 1, so that many agents do not come back at once.
fn jitter() -> f64 {
    let number = RandomState::new().hash_one(0_u8);
    f64::from(u32::try_from(number >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}
