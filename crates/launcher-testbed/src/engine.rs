//! Runs Node and talks to it.
//!
//! One process hosts any number of users. Requests carry a number, answers
//! come in any order, and each caller waits for its own; so threads can share
//! an engine and a slow wait of one user holds up nobody else.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{ChildStdout, Command},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    DEFAULT_TIMEOUT, JsUser, LoginOptions, TestbedError, ensure_installed,
    process::{GuardedProcess, Stdout, tail},
};

/// How much longer this side waits than the other, which has more to say when
/// the time is up.
const MARGIN: Duration = Duration::from_secs(15);

/// A Node process that hosts users on matrix-js-sdk.
///
/// Cheap to clone. The process ends with the last clone and the last user.
#[derive(Debug, Clone)]
pub struct JsEngine {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    process: Mutex<GuardedProcess>,
    waiting: Arc<Waiting>,
    next_id: AtomicU64,
    log: PathBuf,
    _temporary: Option<TempDir>,
}

/// The callers that wait for an answer, by the number of their request.
#[derive(Debug, Default)]
struct Waiting {
    /// None once the process has ended: nobody will be answered anymore.
    callers: Mutex<Option<HashMap<u64, mpsc::Sender<Answer>>>>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    id: u64,
    #[serde(default)]
    result: Value,
    error: Option<Fault>,
}

#[derive(Debug, Deserialize)]
struct Fault {
    message: String,
    code: Option<String>,
}

impl JsEngine {
    /// Starts Node, logging to a temporary file, and waits until it answers.
    ///
    /// # Errors
    ///
    /// [`TestbedError::EngineGone`] when it ends at once; and whatever
    /// [`ensure_installed`] says.
    pub fn start() -> Result<Self, TestbedError> {
        let temporary =
            tempfile::Builder::new().prefix("testbed-").tempdir().map_err(TestbedError::files)?;
        let log = temporary.path().join("js.log");
        Self::launch(log, Some(temporary))
    }

    /// As [`Self::start`], but appends what the SDK logs to `log`.
    ///
    /// Warnings and errors are logged; with `TESTBED_VERBOSE` in the
    /// environment, everything.
    ///
    /// # Errors
    ///
    /// The same as [`Self::start`].
    pub fn start_with_log(log: impl Into<PathBuf>) -> Result<Self, TestbedError> {
        Self::launch(log.into(), None)
    }

    /// Logs a user in on a new device and returns after its first sync.
    ///
    /// `base_url` is where the homeserver answers; `user_id` may be a
    /// localpart.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`], with code `M_FORBIDDEN` for a wrong password.
    pub fn login(
        &self,
        base_url: &str,
        user_id: &str,
        password: &str,
        options: LoginOptions,
    ) -> Result<JsUser, TestbedError> {
        JsUser::login(self.clone(), base_url, user_id, password, &options)
    }

    /// The file that the SDK's warnings go to.
    pub fn log(&self) -> &Path {
        &self.shared.log
    }

    fn launch(log: PathBuf, temporary: Option<TempDir>) -> Result<Self, TestbedError> {
        let installation = ensure_installed()?;
        let mut command = Command::new(&installation.node);
        command
            .arg(installation.crate_directory.join("js/client.mjs"))
            .arg(&installation.node_modules)
            // Options of the caller's own Node could break this one.
            .env_remove("NODE_OPTIONS");
        let mut process = GuardedProcess::spawn(&mut command, &log, Stdout::Piped)?;
        let waiting = Arc::new(Waiting { callers: Mutex::new(Some(HashMap::new())) });
        if let Some(stdout) = process.take_stdout() {
            let waiting = Arc::clone(&waiting);
            thread::spawn(move || waiting.deliver(stdout));
        }
        let shared = Shared {
            process: Mutex::new(process),
            waiting,
            next_id: AtomicU64::new(1),
            log,
            _temporary: temporary,
        };
        let engine = Self { shared: Arc::new(shared) };
        engine.call("the engine", "ping", json!({}), DEFAULT_TIMEOUT)?;
        Ok(engine)
    }

    /// A number for a new user of this engine.
    pub(crate) fn next_id(&self) -> u64 {
        self.shared.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Sends one request and waits for its answer.
    ///
    /// `limit` is what the other side was told; this one waits a little longer.
    pub(crate) fn call(
        &self,
        user: &str,
        method: &str,
        params: Value,
        limit: Duration,
    ) -> Result<Value, TestbedError> {
        let id = self.next_id();
        let gone = || self.gone(user, method);
        let answered = self.shared.waiting.enter(id).ok_or_else(gone)?;
        let mut line = json!({ "id": id, "method": method, "params": params }).to_string();
        line.push('\n');
        self.write(&line).map_err(|_| gone())?;
        match answered.recv_timeout(limit + MARGIN) {
            Ok(Answer { error: None, result, .. }) => Ok(result),
            Ok(Answer { error: Some(fault), .. }) => Err(fault.into_error(user, method)),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(gone()),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                self.shared.waiting.forget(id);
                Err(TestbedError::EngineSilent {
                    user: user.to_owned(),
                    method: method.to_owned(),
                    waited: limit + MARGIN,
                    log: self.shared.log.clone(),
                })
            }
        }
    }

    fn write(&self, line: &str) -> std::io::Result<()> {
        let mut process = self.shared.process.lock().unwrap_or_else(PoisonError::into_inner);
        let stdin = process.stdin()?;
        stdin.write_all(line.as_bytes())?;
        stdin.flush()
    }

    fn gone(&self, user: &str, method: &str) -> TestbedError {
        let log = self.shared.log.clone();
        let tail = tail(&log);
        TestbedError::EngineGone { user: user.to_owned(), method: method.to_owned(), log, tail }
    }
}

impl Waiting {
    fn enter(&self, id: u64) -> Option<mpsc::Receiver<Answer>> {
        let (sender, receiver) = mpsc::channel();
        self.callers().as_mut()?.insert(id, sender);
        Some(receiver)
    }

    fn forget(&self, id: u64) {
        if let Some(callers) = self.callers().as_mut() {
            callers.remove(&id);
        }
    }

    /// Hands every answer to its caller until the process ends, and then tells
    /// the rest that there will be none.
    fn deliver(&self, stdout: ChildStdout) {
        for line in BufReader::new(stdout).lines() {
            let Ok(line) = line else { break };
            // The driver writes nothing but answers; a line that is none would
            // belong to nobody.
            let Ok(answer) = serde_json::from_str::<Answer>(&line) else {
                continue;
            };
            let caller = self.callers().as_mut().and_then(|callers| callers.remove(&answer.id));
            if let Some(caller) = caller {
                // The caller may have given up in this very moment.
                drop(caller.send(answer));
            }
        }
        // Dropping the senders wakes everybody who still waits.
        *self.callers() = None;
    }

    fn callers(&self) -> MutexGuard<'_, Option<HashMap<u64, mpsc::Sender<Answer>>>> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fault {
    fn into_error(self, user: &str, method: &str) -> TestbedError {
        let user = user.to_owned();
        if self.code.as_deref() == Some("TESTBED_TIMEOUT") {
            return TestbedError::TimedOut { user, message: self.message };
        }
        TestbedError::Js { user, method: method.to_owned(), message: self.message, code: self.code }
    }
}
