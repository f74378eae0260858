//! The launcher as a program: its start, what its log says, its end.

use std::{
    collections::BTreeMap,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use fs_err::File;
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    error::DemoError,
    folder::Folder,
    log::{self, Entry, LogFollower},
    parentage::bound_command,
    progress::{say, step},
    secrets,
    signals::Interruption,
};

/// How long the agents may take to become ready, all together.
///
/// About two seconds on an idle machine; a debug build on a busy one is slow.
const READY: Duration = Duration::from_secs(90);

/// How long the launcher may take to stop before it is killed.
const STOP: Duration = Duration::from_secs(10);

/// How often the log and the process are looked at.
const POLL: Duration = Duration::from_millis(50);

/// An agent, as the log introduced it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReadyAgent {
    pub(crate) user_id: String,
    pub(crate) device_id: String,
    pub(crate) ed25519: String,
}

/// How the launcher stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopped {
    ByItself,
    Killed,
}

/// A launcher that runs until it is stopped or dropped.
#[derive(Debug)]
pub(crate) struct Launcher {
    binary: PathBuf,
    config: PathBuf,
    log: PathBuf,
    child: Child,
    follower: LogFollower,
}

impl Launcher {
    /// Starts it on the demo's folder. From the main thread only, see
    /// [`bound_command`].
    pub(crate) fn start(binary: &Path, folder: &Folder) -> Result<Self, DemoError> {
        let log = folder.launcher_log();
        if log.exists() {
            let before = log.with_added_extension("1");
            fs_err::rename(&log, before).map_err(DemoError::files)?;
        }
        let stderr = File::create(&log).map_err(DemoError::files)?.into_file();
        let stdout = stderr.try_clone().map_err(DemoError::files)?;
        let follower = LogFollower::open(&log).map_err(DemoError::files)?;
        let mut command = bound_command(binary).map_err(|source| DemoError::Spawn { source })?;
        command
            .args(["run", "--log-format", "json", "--config"])
            .arg(folder.config())
            // It never reads this; it keeps the folder locked as long as it runs.
            .stdin(folder.lock().map_err(DemoError::files)?)
            .stdout(stdout)
            .stderr(stderr)
            // A Ctrl-C in the terminal is for the demo, which then stops it.
            .process_group(0)
            // What is said with this could be less than is waited for.
            .env_remove("RUST_LOG");
        // The environment wins over the file, and it may be that of an operator.
        let env_file = fs_err::read_to_string(folder.env_file()).map_err(DemoError::files)?;
        for name in secrets::variables(&env_file) {
            command.env_remove(name);
        }
        let child = command.spawn().map_err(|source| DemoError::Spawn { source })?;
        Ok(Self { binary: binary.to_owned(), config: folder.config(), log, child, follower })
    }

    /// Waits until every agent named has said that it is ready.
    pub(crate) fn wait_until_ready(
        &mut self,
        agents: &[&str],
        interruption: &Interruption,
    ) -> Result<BTreeMap<String, ReadyAgent>, DemoError> {
        let started = Instant::now();
        let mut ready = BTreeMap::new();
        loop {
            for entry in self.follower.new_entries().map_err(DemoError::files)? {
                self.demand_not_parked(&entry)?;
                ready.extend(introduction(&entry));
            }
            let Some(missing) = agents.iter().find(|agent| !ready.contains_key(**agent)) else {
                return Ok(ready);
            };
            interruption.check()?;
            self.demand_running()?;
            if started.elapsed() > READY {
                return Err(DemoError::NotReady {
                    agent: (*missing).to_owned(),
                    waited: READY,
                    log: self.log.clone(),
                    tail: log::tail(&self.log),
                });
            }
            thread::sleep(POLL);
        }
    }

    /// Fails if it is not running anymore.
    pub(crate) fn demand_running(&mut self) -> Result<(), DemoError> {
        match self.ended() {
            None => Ok(()),
            Some(status) => {
                let tail = log::tail(&self.log);
                Err(DemoError::LauncherEnded { status, log: self.log.clone(), tail })
            }
        }
    }

    /// Where it logs to.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// What `launcher status` prints.
    pub(crate) fn status(&self) -> Result<String, DemoError> {
        let output = Command::new(&self.binary)
            .args(["status", "--config"])
            .arg(&self.config)
            .output()
            .map_err(|source| DemoError::Spawn { source })?;
        let text = [output.stdout, output.stderr].concat();
        Ok(String::from_utf8_lossy(&text).trim_end().to_owned())
    }

    /// Asks it to stop and waits until it has; kills it if it does not.
    fn stop(&mut self) -> Stopped {
        self.signal(Signal::TERM);
        let started = Instant::now();
        while self.ended().is_none() {
            if started.elapsed() > STOP {
                // An error means that it has just ended, which is as good.
                drop(self.child.kill());
                drop(self.child.wait());
                return Stopped::Killed;
            }
            thread::sleep(POLL);
        }
        Stopped::ByItself
    }

    fn signal(&mut self, signal: Signal) {
        // Once it has been waited for, the number may be that of another process.
        if self.ended().is_none() {
            kill_process(Pid::from_child(&self.child), signal).unwrap_or_default();
        }
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    fn demand_not_parked(&self, entry: &Entry) -> Result<(), DemoError> {
        if !entry.is_event("agent_parked") {
            return Ok(());
        }
        let field = |name| entry.text(name).unwrap_or_default().to_owned();
        let reason = ["reason", "error", "message"].iter().find_map(|name| entry.text(name));
        Err(DemoError::Parked {
            agent: field("agent"),
            reason: reason.unwrap_or_default().to_owned(),
            log: self.log.clone(),
        })
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        let stopped = step("stopping the launcher", || Ok(self.stop()));
        if let Ok(Stopped::Killed) = stopped {
            say(format!("      it did not stop within {STOP:?} and was killed"));
        }
    }
}

/// Who has become ready, if that is what the entry says.
fn introduction(entry: &Entry) -> Option<(String, ReadyAgent)> {
    if !entry.is_event("agent_ready") {
        return None;
    }
    let field = |name| entry.text(name).map(ToOwned::to_owned);
    let ready = ReadyAgent {
        user_id: field("user_id")?,
        device_id: field("device_id")?,
        ed25519: field("ed25519")?,
    };
    Some((field("agent")?, ready))
}
