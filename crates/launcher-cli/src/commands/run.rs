//! `launcher run`: every enabled agent, until told to stop.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
};

use anyhow::Context;
use launcher_config::{
    Diagnostic, Loaded, LogFormat as ConfigFormat, ProcessEnvironment, RootConfig, Sources, load,
};
use launcher_control::{
    desk::{Acknowledgements, Desk},
    server::{
        ControlSocket,
        admin::{self, AdminListener, Watched},
    },
};
use launcher_core::{agent::AgentId, fault::Fault, fleet::Wanted, spec::AgentSpec};
use launcher_journal::SqliteJournals;
use launcher_runtime::{
    Order, Supervisor,
    locks::{self, Locks},
    stop::Stop,
};
use tokio::sync::{mpsc, watch};
use tracing::{error, info, level_filters::LevelFilter, warn};

use super::{LAST_WAIT, check::sources};
use crate::{
    archives::AgentArchives,
    args::{LogFormat, Run},
    exit::{self, Exit},
    folder, limits, logging,
    networks::Networks,
    service::ServiceManager,
    signals::Signals,
    watch::Watch,
};

/// Threads for SQLite's calls, for all agents together. Without a limit, a
/// hundred agents that start make hundreds of threads.
const BLOCKING_THREADS: usize = 16;

pub(crate) fn run(options: &Run) -> anyhow::Result<Exit> {
    let sources = sources(&options.files);
    let loaded = load(&sources, &ProcessEnvironment);
    let Some(root) = &loaded.root else {
        for problem in &loaded.diagnostics {
            exit::say(&format!("{problem}\n"));
        }
        exit::say(&format!(
            "{}; no agent was started",
            launcher_config::summary(&loaded.diagnostics)
        ));
        return Ok(Exit::BadConfig);
    };
    logging::start(
        log_format(options, root),
        root.log.level.as_str().parse().unwrap_or(LevelFilter::INFO),
    );
    if let Some(unknown) = options.only.iter().find(|id| !loaded.agents.contains_key(id)) {
        error!(agent = unknown.as_str(), "--only names an agent that has no folder");
        return Ok(Exit::Usage);
    }
    let own_folder = folder::of_config(&sources.config);
    let _lock = match locks::lock_folder(&own_folder) {
        Ok(lock) => lock,
        Err(fault) => return Ok(refuse(None, &own_folder, &fault)),
    };
    let locks = Arc::new(Locks::default());
    for spec in runnable(&loaded, &options.only) {
        if let Err(fault @ Fault::StoreLocked { .. }) = locks.acquire(spec) {
            return Ok(refuse(Some(&spec.id), &own_folder, &fault));
        }
    }
    limits::allow_open_files(loaded.agents.len());
    report(&loaded.diagnostics);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .context("starting the runtime")?;
    let root = root.clone();
    let only = options.only.iter().cloned().collect();
    let launcher = Launcher { sources, root, only, own_folder, locks };
    let done = runtime.block_on(launcher.run(loaded));
    runtime.shutdown_timeout(LAST_WAIT);
    done
}

/// Another process owns what this one would have used: nothing was touched.
fn refuse(agent: Option<&AgentId>, own_folder: &std::path::Path, fault: &Fault) -> Exit {
    let held = match fault {
        Fault::StoreLocked { path } => path.as_path(),
        _ => own_folder,
    };
    let holder = locks::holder(held);
    match fault {
        Fault::StoreLocked { .. } => error!(
            event = "store_locked",
            agent = agent.map(AgentId::as_str),
            path = %held.display(),
            holder,
            "another launcher is running on it; stop that one first"
        ),
        other => error!(reason = other.reason(), action = other.action(), "cannot start"),
    }
    Exit::Failed
}

fn log_format(options: &Run, root: &RootConfig) -> LogFormat {
    options.log_format.unwrap_or(match root.log.format {
        ConfigFormat::Pretty => LogFormat::Pretty,
        ConfigFormat::Json => LogFormat::Json,
    })
}

fn runnable<'a>(loaded: &'a Loaded, only: &'a [AgentId]) -> impl Iterator<Item = &'a AgentSpec> {
    let chosen = |spec: &&AgentSpec| only.is_empty() || only.contains(&spec.id);
    loaded.agents.values().flatten().filter(|spec| spec.enabled).filter(chosen)
}

fn report(problems: &[Diagnostic]) {
    for problem in problems {
        warn!("{problem}");
    }
}

/// A launcher that holds its locks.
struct Launcher {
    sources: Sources,
    root: RootConfig,
    only: BTreeSet<AgentId>,
    own_folder: PathBuf,
    locks: Arc<Locks>,
}

impl Launcher {
    async fn run(self, loaded: Loaded) -> anyhow::Result<Exit> {
        let stop = Stop::new();
        let signals = Signals::listen().context("listening to signals")?;
        let networks = Networks::new()?;
        let journals = Arc::new(SqliteJournals::default());
        let maintenance = networks.maintenance(journals.clone());
        let supervisor = Supervisor::new(
            Arc::new(networks),
            journals,
            Box::new(launcher_behaviors::make),
            self.locks.clone(),
        );
        let manager = ServiceManager::find();
        let (every, beat) = manager.pulse();
        let supervisor = supervisor.with_pulse(every, beat);
        // Whoever relies on being told must not have to find out that nobody tells.
        let admin = match self.root.admin {
            None => None,
            Some(address) => match AdminListener::bind(address).await {
                Ok(listener) => Some(listener),
                Err(error) => {
                    let action = "free the address, or set another one as admin.listen";
                    error!(%address, %error, action, "cannot listen on admin.listen; no agent was started");
                    return Ok(Exit::BadConfig);
                }
            },
        };
        let socket = ControlSocket::bind(&self.own_folder).context("making the control socket")?;
        info!(agents = loaded.agents.len(), version = env!("CARGO_PKG_VERSION"), "starting");

        // Reloads are complete pictures, so a short queue is enough.
        let (orders, received) = mpsc::channel(4);
        let board = supervisor.board();
        let acknowledgements = Acknowledgements::load(&self.own_folder);
        let desk = Desk::new(
            board.clone(),
            orders.clone(),
            maintenance,
            Arc::new(AgentArchives),
            stop.clone(),
        )
        .acknowledging(acknowledgements.clone());
        let served = socket.serve(desk);
        let (admin_wanted, admin_changes) = watch::channel(self.root.admin);
        let watched = Watched {
            board: board.clone(),
            orders: orders.clone(),
            acknowledgements: acknowledgements.clone(),
        };
        let (reload, reloads) = mpsc::channel(1);
        orders.send(self.order(&loaded, BTreeSet::new())).await?;
        let cut_off = tokio::select! {
            cut_off = supervisor.run(received, stop.clone()) => cut_off,
            () = signals.obey(stop.clone(), reload) => Vec::new(),
            () = self.follow_files(orders, reloads, admin_wanted, &manager) => Vec::new(),
            () = manager.follow(stop.clone()) => Vec::new(),
            () = admin::serve(admin, admin_changes, watched) => Vec::new(),
            () = acknowledgements.follow(board) => Vec::new(),
            // When a stop is demanded it ends in order; the supervisor has the last word.
            Err(error) = served => return Err(error).context("serving the control socket"),
        };
        manager.stopping();
        match cut_off.is_empty() {
            true => info!("stopped"),
            false => {
                let names: Vec<&str> = cut_off.iter().map(AgentId::as_str).collect();
                error!(cut_off = names.join(", "), "stopped; some agents were cut off");
            }
        }
        drop(fs_err::remove_file(self.own_folder.join("control.sock")));
        manager.finish();
        Ok(if cut_off.is_empty() { Exit::Done } else { Exit::Failed })
    }

    /// Reads the files again whenever they change. Never ends.
    async fn follow_files(
        &self,
        orders: mpsc::Sender<Order>,
        mut reloads: mpsc::Receiver<()>,
        admin_wanted: watch::Sender<Option<SocketAddr>>,
        manager: &ServiceManager,
    ) {
        let env_file = self.sources.env_file.clone();
        let env_file = env_file.unwrap_or_else(|| self.root.directory.join(".env"));
        let env_file = std::path::absolute(&env_file).unwrap_or(env_file);
        let name = self.sources.config.file_name().unwrap_or_default();
        let root_files = vec![self.root.directory.join(name), env_file];
        let mut watch = Watch::start(root_files, self.root.agents_dir.clone());
        loop {
            let (everything, mut touched) = tokio::select! {
                touched = watch.changed() => (false, touched),
                Some(()) = reloads.recv() => (true, BTreeSet::new()),
            };
            let reloading = everything.then(|| manager.reloading());
            let loaded = load(&self.sources, &ProcessEnvironment);
            drop(reloading);
            report(&loaded.diagnostics);
            let Some(root) = &loaded.root else {
                warn!("the root configuration file is not valid; everything stays as it was");
                continue;
            };
            watch.refresh(&root.agents_dir);
            admin_wanted
                .send_if_modified(|wanted| std::mem::replace(wanted, root.admin) != root.admin);
            if everything {
                touched.extend(loaded.agents.keys().cloned());
            }
            if orders.send(self.order(&loaded, touched)).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn order(&self, loaded: &Loaded, touched: BTreeSet<AgentId>) -> Order {
        let chosen = |id: &AgentId| self.only.is_empty() || self.only.contains(id);
        let agents: BTreeMap<AgentId, Wanted> = loaded
            .agents
            .iter()
            .filter(|(id, _)| chosen(id))
            .map(|(id, found)| (id.clone(), wanted(found)))
            .collect();
        Order::Wanted { agents, touched }
    }
}

fn wanted(found: &Result<AgentSpec, Vec<Diagnostic>>) -> Wanted {
    match found {
        Ok(spec) if spec.enabled => Wanted::Run(Box::new(spec.clone())),
        Ok(_) => Wanted::Disabled,
        Err(problems) => {
            let first = problems.first().map(ToString::to_string).unwrap_or_default();
            let diagnostic = first.lines().next().unwrap_or_default().to_owned();
            Wanted::Broken(Fault::ConfigInvalid { diagnostic })
        }
    }
}
