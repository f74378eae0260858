//! One run of a command: a process of its own, which gets nothing from the
//! launcher but four variables, and which ends when its time is up.
//!
//! It has no standard input, no variable that could be a secret, and no open
//! file of the launcher's: the standard library opens files so that they are
//! closed there. It leads a group of processes, so that what it has started is
//! found when it has to be killed.

use std::{
    env, fmt, io,
    os::{fd::OwnedFd, unix::process::ExitStatusExt},
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use launcher_core::spec::CommandSpec;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::AsyncReadExt,
    net::unix::pipe::Receiver,
    process::{Child, Command},
    time::{Instant, timeout, timeout_at},
};

use super::output::Output;

/// The variables of the launcher that a command has too: where programs are,
/// which language to speak, whose files are meant, which time it is.
const INHERITED: [&str; 4] = ["PATH", "LANG", "HOME", "TZ"];

/// How long to go on reading after a command has ended. Something that it left
/// running in the background can hold the pipe open for ever.
const REST: Duration = Duration::from_millis(500);

/// How long to wait for a killed process to be gone. It can take long if a
/// disk or a network file system does not answer.
const GONE: Duration = Duration::from_secs(2);

/// A run that is over.
pub(super) struct Finished {
    pub(super) ending: Ending,
    pub(super) output: Output,
    pub(super) took: Duration,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// By itself, with this status.
    Exited(i32),
    /// Somebody else sent it this signal.
    Signaled(i32),
    /// It was killed because its time was up.
    TimedOut,
}

impl fmt::Display for Ending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(formatter, "exit status {code}"),
            Self::Signaled(signal) => write!(formatter, "ended by signal {signal}"),
            Self::TimedOut => formatter.write_str("timed out"),
        }
    }
}

/// Runs a command in `folder` until it ends or its time is up; then it is
/// killed, with everything that is still in its group.
///
/// # Errors
///
/// It could not be started.
///
/// # Cancel safety
///
/// Dropping this kills the command in the same way.
pub(super) async fn run(command: &CommandSpec, folder: &Path) -> io::Result<Finished> {
    let started = Instant::now();
    let mut running = Running::start(command, folder)?;
    let mut output = Output::default();
    let ending = match timeout(command.timeout, running.follow(&mut output)).await {
        Ok(status) => ending(status?),
        Err(_) => {
            running.kill().await;
            Ending::TimedOut
        }
    };
    Ok(Finished { ending, output, took: started.elapsed() })
}

fn ending(status: ExitStatus) -> Ending {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ending::Exited(code),
        (None, signal) => Ending::Signaled(signal.unwrap_or_default()),
    }
}

/// A command that is running. Dropping it kills its whole group.
struct Running {
    child: Child,
    /// The group that it leads. `None` once its end is known: then the number
    /// may belong to somebody else.
    group: Option<Pid>,
    /// What it writes, on both of its outputs, in its order.
    written: Receiver,
}

impl Running {
    fn start(command: &CommandSpec, folder: &Path) -> io::Result<Self> {
        let (program, arguments) = command.run.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let (reader, writer) = io::pipe()?;
        let written = Receiver::from_owned_fd(OwnedFd::from(reader))?;
        let mut prepared = Command::new(program);
        prepared
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .envs(INHERITED.iter().filter_map(|name| Some((name, env::var_os(name)?))))
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .process_group(0)
            .kill_on_drop(true);
        // The pipe's other ends are closed here with `prepared`, when this returns.
        let child = prepared.spawn()?;
        let group = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        Ok(Self { child, group, written })
    }

    /// Reads until the command has ended, and for a moment longer if something
    /// else has the pipe open.
    async fn follow(&mut self, output: &mut Output) -> io::Result<ExitStatus> {
        let mut buffer = [0; 4096];
        let mut open = true;
        let status = loop {
            tokio::select! {
                read = self.written.read(&mut buffer), if open => {
                    open = take(read, &buffer, output);
                }
                status = self.child.wait() => {
                    self.group = None;
                    break status?;
                }
            }
        };
        let until = Instant::now() + REST;
        while open {
            match timeout_at(until, self.written.read(&mut buffer)).await {
                Ok(read) => open = take(read, &buffer, output),
                Err(_) => open = false,
            }
        }
        Ok(status)
    }

    async fn kill(&mut self) {
        self.kill_group();
        // It is gone, or will be: nothing else can be done about it.
        drop(timeout(GONE, self.child.wait()).await);
    }

    fn kill_group(&mut self) {
        if let Some(group) = self.group.take() {
            // An error means that it has just ended, which is as good.
            kill_process_group(group, Signal::KILL).ok();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill_group();
    }
}

/// Keeps what was read. `false`: there will be no more.
fn take(read: io::Result<usize>, buffer: &[u8], output: &mut Output) -> bool {
    match read {
        Ok(0) | Err(_) => false,
        Ok(count) => {
            output.add(buffer.get(..count).unwrap_or_default());
            true
        }
    }
}
