//! Runs Synapse on the loopback address.
//!
//! It serves clients only: no federation, no presence, no previews, and no
//! request ever leaves the machine. Registration is open, and passwords are
//! hashed with the least effort, because a test registers many users.
//!
//! A homeserver in a given directory can be started again there, with the
//! same users, rooms and address; one without a directory leaves nothing.

mod admin;
mod config;
mod objects;
mod options;
mod timeline;

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

pub use self::options::{HomeserverOptions, RateLimits, Registration};
use crate::{
    Account, Installation, TestbedError, ensure_installed,
    http::Http,
    process::{GuardedProcess, Stdout, tail},
};

/// How long Synapse may take to answer its first request.
///
/// It takes two to four seconds on two idle cores.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How often a starting Synapse is asked whether it is up.
const START_POLL: Duration = Duration::from_millis(50);

/// How many ports are tried when somebody else is faster.
const PORT_TRIES: usize = 3;

/// A Synapse that runs until it is stopped or dropped.
///
/// All methods take `&self`, so threads can share one.
#[derive(Debug)]
pub struct Homeserver {
    installation: Installation,
    http: Http,
    server_name: String,
    directory: PathBuf,
    process: Mutex<Option<GuardedProcess>>,
    /// Whether there is one for sure.
    has_administrator: Mutex<bool>,
    /// After the process, so that it is deleted when nobody writes into it.
    _temporary: Option<TempDir>,
}

impl Homeserver {
    /// Starts Synapse and returns when it answers.
    ///
    /// # Errors
    ///
    /// [`TestbedError::NotServing`] with the end of its log when it ends or
    /// gives no answer within 60 s; [`TestbedError::OtherServer`] when the
    /// directory belongs to a homeserver with another name; and whatever
    /// [`ensure_installed`] says.
    pub fn start(options: HomeserverOptions) -> Result<Self, TestbedError> {
        let installation = ensure_installed()?;
        let (directory, temporary) = options.open_directory()?;
        let mut tries = PORT_TRIES;
        loop {
            let identity = config::write(&directory, &options)?;
            let homeserver = Self {
                installation: installation.clone(),
                http: Http::new(format!("http://127.0.0.1:{}", identity.port)),
                server_name: identity.server_name,
                directory: directory.clone(),
                process: Mutex::new(None),
                has_administrator: Mutex::new(false),
                _temporary: None,
            };
            match homeserver.restart() {
                Ok(()) => {
                    return Ok(Self { _temporary: temporary, ..homeserver });
                }
                Err(error) if tries > 1 && options.port.is_none() && is_port_taken(&error) => {
                    tries -= 1;
                    config::forget_port(&directory)?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Where it answers, `http://127.0.0.1:8008`, without a slash at the end.
    pub fn base_url(&self) -> &str {
        self.http.base_url()
    }

    /// What the ids of its users end with.
    pub fn server_name(&self) -> &str {
        &self.server_name
    }

    /// The whole id of a user of this homeserver.
    pub fn user_id(&self, localpart: &str) -> String {
        format!("@{localpart}:{}", self.server_name)
    }

    /// The directory with its database, configuration and log.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The file that it logs to.
    pub fn log(&self) -> PathBuf {
        self.directory.join("synapse.log")
    }

    /// The secret with which Synapse's own tools may register users.
    pub fn registration_shared_secret(&self) -> &'static str {
        config::REGISTRATION_SHARED_SECRET
    }

    /// Makes a user and logs it in on one device.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Refused`], with code `M_USER_IN_USE` for a taken name.
    pub fn register(&self, localpart: &str, password: &str) -> Result<Account, TestbedError> {
        let answer = self.send_registration(localpart, password, false)?;
        account(answer)
    }

    /// Makes a user that has no device yet, and returns its id.
    ///
    /// A device without keys is a device that others cannot encrypt for, and
    /// some clients complain about it; so whoever logs in with a client of its
    /// own should start from here.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Refused`], with code `M_USER_IN_USE` for a taken name.
    pub fn register_without_login(
        &self,
        localpart: &str,
        password: &str,
    ) -> Result<String, TestbedError> {
        let answer = self.send_registration(localpart, password, true)?;
        match answer["user_id"].as_str() {
            Some(user_id) => Ok(user_id.to_owned()),
            None => Err(TestbedError::Unexpected {
                asked: format!("the registration of {localpart}"),
                answer,
            }),
        }
    }

    /// Logs a user in on a new device.
    ///
    /// `user` is a localpart or a whole id.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Refused`], with code `M_FORBIDDEN` for a wrong password.
    pub fn login(&self, user: &str, password: &str) -> Result<Account, TestbedError> {
        let body = json!({
            "type": "m.login.password",
            "identifier": { "type": "m.id.user", "user": user },
            "password": password,
        });
        account(self.http.demand("POST", "/_matrix/client/v3/login", None, Some(&body))?)
    }

    /// Sends any request and returns the HTTP status and the JSON, also of a
    /// refusal.
    ///
    /// # Errors
    ///
    /// [`TestbedError::NoAnswer`] when there is none.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Result<(u16, Value), TestbedError> {
        self.http.request(method, path, token, body)
    }

    /// Everything that was sent into a room and every change of its state, as
    /// the homeserver keeps it for the owner of the token, the oldest first.
    ///
    /// What was sent encrypted is here as it was sent.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Refused`], with code `M_FORBIDDEN` for a room that the
    /// owner of the token has never been in.
    pub fn room_events(&self, token: &str, room_id: &str) -> Result<Vec<Value>, TestbedError> {
        timeline::read(&self.http, token, room_id)
    }

    /// Stops Synapse, so that its port refuses connections. Nothing is lost.
    ///
    /// Takes about a second. [`Self::restart`] brings it back.
    pub fn stop(&self) {
        *self.process() = None;
    }

    /// Kills Synapse with SIGKILL and returns when it is gone: what it had not
    /// written yet is lost, and whoever waits for an answer gets none.
    ///
    /// [`Self::restart`] brings it back.
    pub fn kill(&self) {
        if let Some(mut process) = self.process().take() {
            process.kill();
        }
    }

    /// Stops Synapse if it runs, starts it again with the same data on the
    /// same address, and returns when it answers.
    ///
    /// # Errors
    ///
    /// [`TestbedError::NotServing`] with the end of its log.
    pub fn restart(&self) -> Result<(), TestbedError> {
        let mut process = self.process();
        *process = None;
        let mut started = self.spawn()?;
        self.wait_until_serving(&mut started)?;
        *process = Some(started);
        Ok(())
    }

    fn spawn(&self) -> Result<GuardedProcess, TestbedError> {
        let mut command = Command::new(&self.installation.python);
        command
            .arg(self.installation.crate_directory.join("synapse/guard.py"))
            .arg(self.directory.join(config::CONFIG_FILE))
            .arg(self.directory.join(config::SIGNING_KEY_FILE))
            .current_dir(&self.directory);
        GuardedProcess::spawn(&mut command, &self.log(), Stdout::Log)
    }

    fn wait_until_serving(&self, process: &mut GuardedProcess) -> Result<(), TestbedError> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if self.http.demand("GET", "/_matrix/client/versions", None, None).is_ok() {
                return Ok(());
            }
            if let Some(status) = process.ended() {
                return Err(self.not_serving(format!("ended with {status}")));
            }
            if Instant::now() > deadline {
                return Err(self.not_serving(format!("gave no answer within {START_LIMIT:?}")));
            }
            thread::sleep(START_POLL);
        }
    }

    fn not_serving(&self, what: String) -> TestbedError {
        let log = self.log();
        let tail = tail(&log);
        TestbedError::NotServing { base_url: self.base_url().to_owned(), what, log, tail }
    }

    fn send_registration(
        &self,
        localpart: &str,
        password: &str,
        inhibit_login: bool,
    ) -> Result<Value, TestbedError> {
        let body = json!({
            "auth": { "type": "m.login.dummy" },
            "username": localpart,
            "password": password,
            "inhibit_login": inhibit_login,
        });
        self.http.demand("POST", "/_matrix/client/v3/register", None, Some(&body))
    }

    fn process(&self) -> MutexGuard<'_, Option<GuardedProcess>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn account(answer: Value) -> Result<Account, TestbedError> {
    Account::deserialize_from(&answer)
        .ok_or_else(|| TestbedError::Unexpected { asked: "a login".to_owned(), answer })
}

fn is_port_taken(error: &TestbedError) -> bool {
    matches!(error, TestbedError::NotServing { tail, .. } if tail.contains("Address already in use"))
}
