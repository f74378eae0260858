//! `launcher demo`: a chat server, an agent and a chat with it, in one process.

mod agent;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::Instant,
};

use anyhow::Context;
use launcher_core::{
    agent::AgentId,
    fleet::Wanted,
    secret::Secret,
    spec::AgentSpec,
    status::{AgentState, Standing},
};
use launcher_journal::SqliteJournals;
use launcher_runtime::{Order, StatusBoard, Supervisor, locks::Locks, stop::Stop};
use messager_server::{Bound, Server, Settings};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::mpsc};
use tracing::level_filters::LevelFilter;
use url::Url;

use self::agent::Agent;
use super::{
    LAST_WAIT,
    chat::{
        Talk,
        place::{self, Account},
        terminal::Terminal,
    },
};
use crate::{
    args::{Demo, LogFormat},
    exit::{self, Exit},
    limits, logging,
    networks::Networks,
    signals,
};

/// The account of whoever sits at the terminal, and what it is if an agent is
/// called that.
const PERSON: [&str; 2] = ["you", "visitor"];

pub(crate) fn run(options: &Demo) -> anyhow::Result<Exit> {
    let begun = Instant::now();
    let agent = Agent::find(&options.files, options.agent.as_ref())?;
    let folder = Folder::of(options)?;
    logging::start(LogFormat::Pretty, LevelFilter::ERROR);
    limits::allow_open_files(1);
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    let done = runtime.block_on(async {
        let interrupted = signals::interrupted()?;
        show(agent, folder.path(), begun, interrupted).await
    });
    runtime.shutdown_timeout(LAST_WAIT);
    done
}

/// Where everything is.
enum Folder {
    Kept(PathBuf),
    /// Removed with everything in it when this is dropped.
    Passing(TempDir),
}

impl Folder {
    fn of(options: &Demo) -> anyhow::Result<Self> {
        Ok(match &options.data {
            Some(data) => {
                launcher_runtime::locks::make_private_folder(data)
                    .with_context(|| format!("making {}", data.display()))?;
                Self::Kept(fs_err::canonicalize(data)?)
            }
            None => Self::Passing(tempfile::Builder::new().prefix("launcher-demo-").tempdir()?),
        })
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Passing(folder) => folder.path(),
        }
    }
}

async fn show(
    agent: Agent,
    folder: &Path,
    begun: Instant,
    interrupted: impl Future<Output = ()> + Send,
) -> anyhow::Result<Exit> {
    let id = agent.id.clone();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let server = Server::open(Settings::in_folder(folder.join("messager")))?.bind(listener)?;
    let address: Url = format!("http://{}", server.address()).parse()?;
    let person = if id.as_str() == PERSON[0] { PERSON[1] } else { PERSON[0] };
    let person = account(&server, &address, folder, person)?;
    let spec = agent.put(folder, &account(&server, &address, folder, id.as_str())?)?;

    let (server_stop, agents_stop) = (Stop::new(), Stop::new());
    let stopped = server_stop.clone();
    let mut serving = pin!(server.run(async move { stopped.asked().await }));
    let supervisor = supervisor()?;
    let mut board = supervisor.board();
    let (orders, received) = mpsc::channel(1);
    orders.send(Order::Wanted { agents: only(&id, spec), touched: BTreeSet::new() }).await?;
    let mut running = pin!(supervisor.run(received, agents_stop.clone()));
    let talking = async {
        ready(&mut board, &id).await?;
        let mut talk = Talk::open(&person, &folder.join("you"), Terminal::open()?).await?;
        talk.say(&format!("agent {id} is ready after {:.1} s", begun.elapsed().as_secs_f64()));
        talk.begin_with(id.as_str()).await?;
        talk.run().await
    };
    let (mut runs, mut serves) = (true, true);
    let done = tokio::select! {
        done = talking => done,
        () = interrupted => Ok(Exit::Done),
        _ = &mut running => {
            runs = false;
            Err(anyhow::anyhow!("the agent's supervisor has ended"))
        }
        ended = &mut serving => {
            serves = false;
            Err(ended.err().map_or_else(|| anyhow::anyhow!("the server has ended"), Into::into))
        }
    };
    agents_stop.ask();
    let agents = async {
        if runs {
            running.await;
        }
        server_stop.ask();
    };
    if !serves {
        agents.await;
        return done;
    }
    let ((), served) = tokio::join!(agents, serving);
    served?;
    done
}

/// The account of a name, which is made at the first start. The server has
/// another address each time.
fn account(server: &Bound, address: &Url, folder: &Path, name: &str) -> anyhow::Result<Account> {
    let place = folder.join("accounts").join(name);
    let kept = match place::read(&place)? {
        Some(kept) => kept,
        None => {
            let new = server.add_device(name, Some("demo"))?;
            place::make(&place, address.clone(), Secret::new(new.token.expose().to_owned()))?
        }
    };
    Ok(Account { server: address.clone(), ..kept })
}

fn supervisor() -> anyhow::Result<Supervisor> {
    Ok(Supervisor::new(
        Arc::new(Networks::new()?),
        Arc::new(SqliteJournals::default()),
        Box::new(launcher_behaviors::make),
        Arc::new(Locks::default()),
    ))
}

fn only(id: &AgentId, spec: AgentSpec) -> BTreeMap<AgentId, Wanted> {
    BTreeMap::from([(id.clone(), Wanted::Run(Box::new(spec)))])
}

/// Waits until the agent answers.
async fn ready(board: &mut StatusBoard, id: &AgentId) -> anyhow::Result<()> {
    loop {
        match board.standing(id) {
            Some(Standing { state: AgentState::Running, .. }) => return Ok(()),
            Some(Standing { state: AgentState::Degraded, reason, .. }) => {
                exit::say(&format!("agent {id}: {}", reason.unwrap_or_default()));
                return Ok(());
            }
            Some(Standing { state: AgentState::Parked, reason, action }) => {
                let reason = reason.unwrap_or_default();
                let action = action.unwrap_or_default();
                anyhow::bail!("agent {id} cannot start: {reason}; {action}");
            }
            _ => {}
        }
        board.changed().await;
    }
}
