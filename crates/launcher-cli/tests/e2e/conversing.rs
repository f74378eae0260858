//! A command of the launcher that asks and is answered while it runs.

use std::{
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::{Duration, Instant},
};

use launcher_testbed::DEFAULT_TIMEOUT;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// `launcher verify ID --with USER --json`, as it goes on.
pub(crate) struct Verifying {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    seen: Vec<Value>,
}

impl Verifying {
    /// Begins to verify `user`.
    pub(crate) fn with(place: &Path, agent: &str, user: &str, more: &[&str]) -> Result<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_launcher"))
            .args(["verify", agent, "--with", user, "--json", "--config", "config.yaml"])
            .args(more)
            .current_dir(place)
            .env_remove("RUST_LOG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().ok_or("no standard output")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(std::io::Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, stdin, lines, seen: Vec::new() })
    }

    /// Waits until the verification is at this stage, and returns what is there.
    pub(crate) fn wait_for(&mut self, stage: &str) -> Result<Value> {
        let end = Instant::now() + DEFAULT_TIMEOUT * 2;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let line = match self.lines.recv_timeout(left) {
                Ok(line) => line,
                Err(why) => return Err(self.never(stage, why).into()),
            };
            let shown: Value = serde_json::from_str(&line)
                .map_err(|error| format!("not JSON: {line}: {error}"))?;
            let at = shown["stage"].clone();
            self.seen.push(shown);
            if at == stage {
                return Ok(Value::Null);
            }
            if let Some(content) = at.get(stage) {
                return Ok(content.clone());
            }
        }
    }

    fn never(&mut self, stage: &str, why: RecvTimeoutError) -> String {
        let seen = &self.seen;
        if why == RecvTimeoutError::Timeout {
            return format!("the verification was not {stage} in time; it was {seen:?}");
        }
        // It ends when its output does, so this does not wait.
        let ended = self.child.wait();
        let mut said = String::new();
        if let Some(mut errors) = self.child.stderr.take() {
            errors.read_to_string(&mut said).ok();
        }
        format!("the command ended, {ended:?}, and never was {stage}; it was {seen:?}: {said}")
    }

    /// The seven emojis, once they are shown.
    pub(crate) fn wait_for_emojis(&mut self) -> Result<Vec<String>> {
        let emojis = self.wait_for("emojis")?;
        let symbols = emojis.as_array().into_iter().flatten();
        Ok(symbols.filter_map(|emoji| emoji["symbol"].as_str().map(ToOwned::to_owned)).collect())
    }

    /// Types a line.
    pub(crate) fn say(&mut self, line: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().ok_or("the input is closed")?;
        Ok(writeln!(stdin, "{line}")?)
    }

    /// Presses Ctrl-C.
    pub(crate) fn interrupt(&self) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?).ok_or("no process")?;
        Ok(kill_process(pid, Signal::INT)?)
    }

    /// Waits until the command has ended.
    pub(crate) fn wait_for_end(mut self) -> Result<ExitStatus> {
        self.stdin = None;
        let end = Instant::now() + DEFAULT_TIMEOUT;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > end {
                return Err(format!("the command does not end; it was {:?}", self.seen).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Verifying {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
