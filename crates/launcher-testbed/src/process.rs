//! Child processes that cannot outlive this one.
//!
//! Each child holds the read end of a pipe as its standard input and promises
//! to stop when that ends. The kernel closes the pipe when this process is
//! gone, killed or not, so nobody has to clean up.

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::TestbedError;

/// How long a child may take to stop by itself before it is killed.
///
/// Synapse takes about a second; on a loaded machine several.
const STOP_GRACE: Duration = Duration::from_secs(15);

/// How often a child is asked whether it has ended. The system offers no wait
/// with a limit.
const POLL: Duration = Duration::from_millis(20);

/// A port on the loopback address that was free a moment ago.
///
/// Another process may take it first; whoever binds it must be ready for that.
///
/// # Errors
///
/// [`TestbedError::Port`] when the system has none.
pub fn free_port() -> Result<u16, TestbedError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|source| TestbedError::Port { source })
}

/// A child that stops when its standard input ends.
#[derive(Debug)]
pub(crate) struct GuardedProcess {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl GuardedProcess {
    /// Starts `command`. Its standard error is appended to `log`, and its
    /// standard output too, unless the caller has already said otherwise.
    pub(crate) fn spawn(
        command: &mut Command,
        log: &Path,
        stdout: Stdout,
    ) -> Result<Self, TestbedError> {
        let log = fs_err::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .map_err(TestbedError::files)?;
        let (log, _) = log.into_parts();
        let stdout = match stdout {
            Stdout::Log => Stdio::from(log.try_clone().map_err(TestbedError::files)?),
            Stdout::Piped => Stdio::piped(),
        };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(log)
            // A Ctrl-C in the terminal is for the test or the demo, which then
            // stops its children in the order it likes.
            .process_group(0)
            .spawn()
            .map_err(|source| TestbedError::Spawn {
                program: PathBuf::from(command.get_program()),
                source,
            })?;
        let stdin = child.stdin.take();
        Ok(Self { child, stdin })
    }

    /// The number that the system knows the child by.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The pipe to the child, unless it was asked to stop.
    pub(crate) fn stdin(&mut self) -> io::Result<&mut ChildStdin> {
        self.stdin.as_mut().ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }

    /// The pipe from the child; it can be taken once.
    pub(crate) fn take_stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// How the child ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Asks the child to stop and waits until it has; kills it if it does not.
    pub(crate) fn stop(&mut self) {
        self.stdin = None;
        let deadline = Instant::now() + STOP_GRACE;
        while self.ended().is_none() {
            if Instant::now() > deadline {
                return self.kill();
            }
            thread::sleep(POLL);
        }
    }

    /// Kills the child, which cannot prepare for it, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        // An error means that it has just ended, which is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for GuardedProcess {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Where the standard output of a child goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stdout {
    /// To the log, with the errors.
    Log,
    /// To this process.
    Piped,
}

/// The last lines of a log, for an error; empty if it cannot be read.
pub(crate) fn tail(log: &Path) -> String {
    /// Enough for a Python traceback.
    const LINES: usize = 30;
    let bytes = fs_err::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_reads_its_input_stops_when_asked() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let mut child = GuardedProcess::spawn(&mut Command::new("cat"), &log, Stdout::Log).unwrap();
        assert!(child.ended().is_none());
        child.stop();
        assert!(child.ended().unwrap().success());
    }

    #[test]
    fn a_child_that_is_killed_is_gone_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let mut child = GuardedProcess::spawn(&mut Command::new("cat"), &log, Stdout::Log).unwrap();
        child.kill();
        assert!(!child.ended().unwrap().success());
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let error = GuardedProcess::spawn(&mut Command::new("no-such-program"), &log, Stdout::Log)
            .unwrap_err();
        assert_eq!(error.to_string(), "running no-such-program; is it there and executable?");
    }

    #[test]
    fn the_tail_of_a_log_is_its_last_thirty_lines() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let lines: Vec<String> = (1..=40).map(|line| line.to_string()).collect();
        fs_err::write(&log, lines.join("\n")).unwrap();
        assert_eq!(tail(&log), lines[10..].join("\n"));
        assert_eq!(tail(&directory.path().join("absent")), "");
    }
}
