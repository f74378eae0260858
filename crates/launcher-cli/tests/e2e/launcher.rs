//! The launcher's binary with folders of its own.

use std::{
    cell::RefCell,
    fs::{self, File, Permissions},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use launcher_testbed::{
    DEFAULT_TIMEOUT, SmallDisk,
    tap::{Request, Tap, invariants},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::bed::{Bed, PASSWORD};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The program that is tested.
const LAUNCHER: &str = env!("CARGO_BIN_EXE_launcher");

thread_local! {
    /// Where the case that runs on this thread keeps the logs of its launchers.
    static KEPT: RefCell<PathBuf> = RefCell::default();

    /// The taps of the case that runs on this thread.
    static TAPS: RefCell<Vec<Arc<Tap>>> = RefCell::default();
}

/// Fails if a launcher of this thread's case did what none must ever do.
pub(crate) fn check_taps() -> Result<()> {
    let taps = TAPS.take();
    let violations: Vec<String> = taps.iter().flat_map(|tap| violations(&tap.requests())).collect();
    match violations.is_empty() {
        true => Ok(()),
        false => Err(violations.join("\n").into()),
    }
}

/// Drops the taps of a case that failed.
pub(crate) fn forget_taps() {
    TAPS.take();
}

/// What must never be in the log of a tap, except for what the tests do themselves.
pub(crate) fn violations(requests: &[Arc<Request>]) -> Vec<String> {
    let mut found = invariants::plaintext_in_encrypted_rooms(requests, &[]);
    found.extend(invariants::reused_message_indices(requests));
    found.extend(invariants::changed_one_time_keys(requests));
    found.extend(invariants::changed_identity_keys(requests));
    found.extend(invariants::request_storms(requests));
    found
}

/// Where the logs of a case are after it has run.
pub(crate) fn log_of_case(name: &str) -> PathBuf {
    let folder: String = name.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e").join(folder)
}

/// From here on, the launchers of this thread's case keep their logs there.
pub(crate) fn keep_logs_in(folder: PathBuf) {
    KEPT.set(folder);
}

/// Somebody at a terminal who answers what is asked, and sees what is shown. An
/// answer after `unseen:` is typed once the terminal does not show it.
const TYPIST: &str = r#"
import os, pty, select, sys, termios
answers, command = sys.argv[1].split("\n"), sys.argv[2:]
child, terminal = pty.fork()
if child == 0:
    os.execvp(command[0], command)
shown = b""
while True:
    try:
        more = os.read(terminal, 4096)
    except OSError:
        break
    shown += more
    if answers and shown.endswith((b": ", b"] ")):
        answer = answers.pop(0)
        if answer.startswith("unseen:"):
            while termios.tcgetattr(terminal)[3] & termios.ECHO:
                select.select([], [], [], 0.01)
        os.write(terminal, answer.removeprefix("unseen:").encode() + b"\n")
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"#;

/// A folder with `config.yaml`, `.env` and `agents/`.
pub(crate) struct Place {
    folder: TempDir,
    homeserver: String,
}

impl Place {
    /// Everything that its launchers say to the homeserver goes through a tap,
    /// and is looked at when the case has ended.
    pub(crate) fn new(bed: &Bed) -> Result<Self> {
        let tap = Arc::new(Tap::start(bed.homeserver().base_url())?);
        TAPS.with_borrow_mut(|taps| taps.push(tap.clone()));
        Self::at(tap.base_url())
    }

    /// A folder whose agents reach their homeserver at this address.
    pub(crate) fn at(homeserver: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let homeserver = homeserver.to_owned();
        fs::write(folder.path().join("config.yaml"), format!("homeserver: {homeserver}\n"))?;
        fs::write(folder.path().join(".env"), "")?;
        fs::create_dir(folder.path().join("agents"))?;
        Ok(Self { folder, homeserver })
    }

    /// An empty folder.
    pub(crate) fn empty(homeserver: &str) -> Result<Self> {
        Ok(Self { folder: tempfile::tempdir()?, homeserver: homeserver.to_owned() })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn homeserver(&self) -> &str {
        &self.homeserver
    }

    pub(crate) fn agent_folder(&self, id: &str) -> PathBuf {
        self.path().join("agents").join(id)
    }

    /// Registers an account and makes an agent folder for it. Returns its user id.
    pub(crate) fn agent(&self, bed: &Bed, id: &str) -> Result<String> {
        let user = bed.homeserver().register_without_login(&bed.name(id), PASSWORD)?;
        self.agent_for(id, &user, &format!("password: \"{PASSWORD}\""), "")?;
        Ok(user)
    }

    /// Makes an agent folder for an account.
    pub(crate) fn agent_for(&self, id: &str, user: &str, secret: &str, more: &str) -> Result<()> {
        self.set_variable(&variable(id), &pickle_key(id))?;
        self.write_agent(id, &agent_config(id, user, secret, more))
    }

    pub(crate) fn write_agent(&self, id: &str, config: &str) -> Result<()> {
        fs::create_dir_all(self.agent_folder(id))?;
        fs::write(self.agent_folder(id).join("config.yaml"), config)?;
        Ok(())
    }

    /// Sets a variable in `.env`.
    pub(crate) fn set_variable(&self, name: &str, value: &str) -> Result<()> {
        let path = self.path().join(".env");
        let before = fs::read_to_string(&path)?;
        let others = before.lines().filter(|line| !line.starts_with(&format!("{name}=")));
        let mut lines: Vec<String> = others.map(ToOwned::to_owned).collect();
        lines.push(format!("{name}={value}\n"));
        fs::write(&path, lines.join("\n"))?;
        Ok(())
    }

    /// Runs a command to its end.
    pub(crate) fn command(&self, arguments: &[&str]) -> Result<Output> {
        Ok(self.here(&mut Command::new(LAUNCHER), arguments).output()?)
    }

    /// Runs a command to its end, with these variables.
    pub(crate) fn command_with(
        &self,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<Output> {
        Ok(self.prepare(arguments, variables).output()?)
    }

    /// A command that is not started yet.
    pub(crate) fn prepare(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(LAUNCHER);
        self.here(&mut command, arguments).envs(variables.iter().copied()).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end, with this on its standard input.
    pub(crate) fn command_with_input(&self, arguments: &[&str], input: &str) -> Result<Output> {
        let mut child = self
            .here(&mut Command::new(LAUNCHER), arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(format!("{input}\n").as_bytes())?;
        }
        Ok(child.wait_with_output()?)
    }

    /// Runs a command on a terminal, and returns what it shows there.
    pub(crate) fn command_on_terminal(&self, arguments: &[&str]) -> Result<String> {
        self.on_terminal("import pty, sys; pty.spawn(sys.argv[1:])", &[], arguments)
            .map(|(_, shown)| shown)
    }

    /// Runs a command on a terminal, and types an answer at each question.
    /// Returns whether it succeeded, and what the terminal showed.
    pub(crate) fn command_answering(
        &self,
        arguments: &[&str],
        answers: &[&str],
    ) -> Result<(bool, String)> {
        self.on_terminal(TYPIST, &[&answers.join("\n")], arguments)
    }

    fn on_terminal(
        &self,
        script: &str,
        options: &[&str],
        arguments: &[&str],
    ) -> Result<(bool, String)> {
        let mut command = Command::new("python3");
        command.args(["-c", script]).args(options).arg(LAUNCHER);
        let output = self.here(&mut command, arguments).stdin(Stdio::null()).output()?;
        Ok((output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned()))
    }

    /// The rest of every command: what is asked for, about this folder.
    fn here<'a>(&self, command: &'a mut Command, arguments: &[&str]) -> &'a mut Command {
        command
            .args(arguments)
            .args(["--config", "config.yaml"])
            .current_dir(self.path())
            .env_remove("RUST_LOG")
    }

    pub(crate) fn start(&self) -> Result<Running<'_>> {
        self.start_with(&[], "")
    }

    /// Starts on a small disk.
    pub(crate) fn start_on(&self, disk: &SmallDisk) -> Result<Running<'_>> {
        self.spawn(&[], "", |command| disk.wrap(&command))
    }

    /// Starts in a way of the case's own: what is started is made of the usual command.
    pub(crate) fn start_as(&self, wrap: impl FnOnce(Command) -> Command) -> Result<Running<'_>> {
        self.spawn(&[], "", wrap)
    }

    pub(crate) fn start_with(&self, arguments: &[&str], rust_log: &str) -> Result<Running<'_>> {
        self.spawn(arguments, rust_log, |command| command)
    }

    fn spawn(
        &self,
        arguments: &[&str],
        rust_log: &str,
        wrap: impl FnOnce(Command) -> Command,
    ) -> Result<Running<'_>> {
        let number = fs::read_dir(self.path())?.count();
        let log = self.path().join(format!("log-{number}.jsonl"));
        let mut command = Command::new(LAUNCHER);
        self.here(command.args(["run", "--log-format", "json"]), arguments);
        if !rust_log.is_empty() {
            command.env("RUST_LOG", rust_log);
        }
        command = wrap(command);
        command
            .stdin(Stdio::null())
            .stdout(File::create(self.path().join("stdout"))?)
            .stderr(File::create(&log)?);
        Ok(Running { place: self, child: command.spawn()?, log })
    }

    /// Starts, and waits until every agent named is ready.
    pub(crate) fn start_ready(&self, agents: &[&str]) -> Result<Running<'_>> {
        let mut running = self.start()?;
        for agent in agents {
            running.wait_for_event("agent_ready", agent)?;
        }
        Ok(running)
    }

    /// Every file below the agent's data folder with its content.
    pub(crate) fn data_files(&self, id: &str) -> Result<Vec<(PathBuf, Vec<u8>)>> {
        let mut files = Vec::new();
        let mut folders = vec![self.agent_folder(id).join("data")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if fs::symlink_metadata(&path)?.is_dir() {
                    folders.push(path);
                } else {
                    files.push((path.clone(), fs::read(&path)?));
                }
            }
        }
        files.sort();
        Ok(files)
    }
}

/// The variable with the pickle key of an agent.
pub(crate) fn variable(id: &str) -> String {
    format!("PICKLE_KEY_{}", id.to_uppercase().replace('-', "_"))
}

/// A pickle key that depends on the agent's name.
pub(crate) fn pickle_key(id: &str) -> String {
    let seed: u32 = id.bytes().fold(7, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    (0..32_u32).map(|number| format!("{:02x}", seed.wrapping_mul(number + 3) % 251)).collect()
}

pub(crate) fn agent_config(id: &str, user: &str, secret: &str, more: &str) -> String {
    format!(
        "matrix:\n  user_id: \"{user}\"\n  {secret}\nencryption:\n  pickle_key: \"${{{}}}\"\n\
         behavior:\n  echo: {{ prefix: \"echo: \" }}\n{more}",
        variable(id)
    )
}

/// A launcher that runs; killed when dropped.
pub(crate) struct Running<'a> {
    place: &'a Place,
    child: Child,
    log: PathBuf,
}

impl Running<'_> {
    /// All log lines so far.
    pub(crate) fn lines(&self) -> Result<Vec<Value>> {
        let text = fs::read_to_string(&self.log)?;
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let parse = |line: &str| {
            serde_json::from_str(line).map_err(|error| format!("not JSON: {line}: {error}").into())
        };
        whole.lines().map(parse).collect()
    }

    pub(crate) fn log_text(&self) -> Result<String> {
        Ok(fs::read_to_string(&self.log)?)
    }

    /// All lines with this event and agent so far.
    pub(crate) fn events(&self, event: &str, agent: &str) -> Result<Vec<Value>> {
        let mut lines = self.lines()?;
        lines.retain(|line| line["event"] == event && line["agent"] == agent);
        Ok(lines)
    }

    /// Waits until the log has this event of this agent.
    pub(crate) fn wait_for_event(&mut self, event: &str, agent: &str) -> Result<Value> {
        self.wait_for_event_within(event, agent, DEFAULT_TIMEOUT * 4)
    }

    pub(crate) fn wait_for_event_within(
        &mut self,
        event: &str,
        agent: &str,
        limit: Duration,
    ) -> Result<Value> {
        let found = self.wait(limit, |running| Ok(running.events(event, agent)?.pop()))?;
        found.ok_or_else(|| {
            let log = self.log_text().unwrap_or_default();
            format!("no {event} of {agent} within {limit:?}; the log:\n{log}").into()
        })
    }

    /// Waits for a line of the log for which `is_it` holds.
    pub(crate) fn wait_for_line(
        &mut self,
        what: &str,
        is_it: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let found = self.wait(DEFAULT_TIMEOUT * 2, |running| {
            Ok(running.lines()?.into_iter().find(|line| is_it(line)))
        })?;
        found.ok_or_else(|| {
            let log = self.log_text().unwrap_or_default();
            format!("no line about {what}; the log:\n{log}").into()
        })
    }

    /// Waits until `status` shows the agent in this state.
    pub(crate) fn wait_for_state(&mut self, agent: &str, state: &str) -> Result<Value> {
        let found = self.wait(DEFAULT_TIMEOUT, |running| {
            let status = running.agent_status(agent)?;
            Ok((status["state"] == state).then_some(status))
        })?;
        let status = self.status()?;
        found.ok_or_else(|| format!("{agent} is not {state}: {status}").into())
    }

    /// Waits until `look` is true; `what` is for the complaint if it never is.
    pub(crate) fn wait_until(
        &mut self,
        what: &str,
        look: impl Fn(&Self) -> Result<bool>,
    ) -> Result<()> {
        self.wait_until_within(DEFAULT_TIMEOUT, what, look)
    }

    pub(crate) fn wait_until_within(
        &mut self,
        limit: Duration,
        what: &str,
        look: impl Fn(&Self) -> Result<bool>,
    ) -> Result<()> {
        let found = self.wait(limit, |running| Ok(look(running)?.then_some(())))?;
        found.ok_or_else(|| format!("{what}: not within {limit:?}").into())
    }

    /// The files that the process has open.
    pub(crate) fn open_files(&self) -> Result<Vec<String>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(format!("/proc/{}/fd", self.child.id()))? {
            // A file can be closed between listing and looking.
            if let Ok(target) = fs::read_link(entry?.path()) {
                files.push(target.to_string_lossy().into_owned());
            }
        }
        Ok(files)
    }

    fn wait<T>(
        &mut self,
        limit: Duration,
        look: impl Fn(&Self) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let end = Instant::now() + limit;
        loop {
            if let Some(found) = look(self)? {
                return Ok(Some(found));
            }
            if let Some(status) = self.child.try_wait()? {
                // What it said last may have come after the look above.
                if let Some(found) = look(self)? {
                    return Ok(Some(found));
                }
                return Err(format!("the launcher ended: {status}\n{}", self.log_text()?).into());
            }
            if Instant::now() >= end {
                return Ok(None);
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    pub(crate) fn status(&self) -> Result<Value> {
        let output = self.place.command(&["status", "--json"])?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    pub(crate) fn agent_status(&self, agent: &str) -> Result<Value> {
        let status = self.status()?;
        let agents = status["agents"].as_array().cloned().unwrap_or_default();
        Ok(agents.into_iter().find(|found| found["id"] == agent).unwrap_or_default())
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(self.pid(), signal)?)
    }

    /// The process, for whoever kills it at a moment that only it knows.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Asks it to stop and waits for that. Returns how it ended and how long it took.
    pub(crate) fn stop(mut self) -> Result<(ExitStatus, Duration)> {
        let asked = Instant::now();
        self.signal(Signal::TERM)?;
        let status = self.wait_for_end(Duration::from_secs(20))?;
        Ok((status, asked.elapsed()))
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait_for_end(&mut self, limit: Duration) -> Result<ExitStatus> {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
        Err(format!("still running after {limit:?}:\n{}", self.log_text()?).into())
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            drop(self.child.kill());
            drop(self.child.wait());
        }
        // For whoever wants to know why a case failed; a test does not depend on it.
        KEPT.with_borrow(|folder| {
            drop(fs::create_dir_all(folder));
            drop(fs::copy(&self.log, folder.join(self.log.file_name().unwrap_or_default())));
        });
    }
}

/// The permission bits of a file.
pub(crate) fn mode(path: &Path) -> Result<u32> {
    let permissions: Permissions = fs::symlink_metadata(path)?.permissions();
    Ok(permissions.mode() & 0o777)
}
