//! The homeserver and the person, from the testbed, with an end that is told.

use std::{
    net::{Ipv4Addr, TcpListener},
    ops::Deref,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use launcher_testbed::{
    Account, CrossSigning, Homeserver, HomeserverOptions, JsEngine, JsUser, LoginOptions,
    TestbedError, testbed_root,
};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::{error::DemoError, progress::step, signals::Interruption};

/// How long the homeserver of a demo that was killed may keep its port: it is
/// given ten seconds to stop.
const LEFTOVERS: Duration = Duration::from_secs(12);

/// How often a process or a port is looked at.
const POLL: Duration = Duration::from_millis(100);

/// What the person's device is called.
const DEVICE_NAME: &str = "launcher demo";

/// Installs what the testbed needs; instant if it is there.
///
/// The testbed would do it by itself, but could not be interrupted.
pub(crate) fn install(interruption: &Interruption) -> Result<(), DemoError> {
    let script = testbed_root().join("bin/setup-testbed");
    let mut child = Command::new(&script)
        .stdin(Stdio::null())
        // So that what it has started can be stopped with it.
        .process_group(0)
        .spawn()
        .map_err(|source| TestbedError::Spawn { program: script.clone(), source })?;
    loop {
        if let Some(status) = child.try_wait().map_err(DemoError::files)? {
            return match status.success() {
                true => Ok(()),
                false => Err(TestbedError::Setup { script, status }.into()),
            };
        }
        if interruption.is_asked() {
            // Refused only if it has just ended, which is as good.
            kill_process_group(Pid::from_child(&child), Signal::TERM).unwrap_or_default();
            drop(child.wait());
            return Err(DemoError::Interrupted);
        }
        thread::sleep(POLL);
    }
}

/// Waits until a port is free. Gives up without a word: then another program
/// has it, and the homeserver looks for a new one.
pub(crate) fn wait_for_port(port: u16, interruption: &Interruption) -> Result<(), DemoError> {
    let started = Instant::now();
    while TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err() {
        interruption.check()?;
        if started.elapsed() > LEFTOVERS {
            return Ok(());
        }
        thread::sleep(POLL);
    }
    Ok(())
}

/// The homeserver.
pub(crate) struct Server(Homeserver);

impl Server {
    /// Starts it with what it had the last time.
    pub(crate) fn start(directory: &Path) -> Result<Self, DemoError> {
        Ok(Self(Homeserver::start(HomeserverOptions::default().directory(directory))?))
    }

    /// Makes an account, unless it is there.
    pub(crate) fn register(&self, name: &str, password: &str) -> Result<(), DemoError> {
        match self.0.register_without_login(name, password) {
            Err(error) if error.code() == Some("M_USER_IN_USE") => Ok(()),
            other => Ok(other.map(drop)?),
        }
    }

    /// Deletes a device that an earlier demo may have left behind.
    pub(crate) fn log_out(&self, login: &Account) {
        let path = "/_matrix/client/v3/logout";
        // A refusal means that it is gone already.
        drop(self.0.request("POST", path, Some(&login.access_token), Some(&serde_json::json!({}))));
    }
}

impl Deref for Server {
    type Target = Homeserver;

    fn deref(&self) -> &Homeserver {
        &self.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(step("stopping Synapse", || {
            self.0.stop();
            Ok(())
        }));
    }
}

/// The person, on one new device.
pub(crate) struct Person {
    user: JsUser,
    _engine: JsEngine,
}

impl Person {
    /// Logs in, with a client that logs its warnings to `log`.
    pub(crate) fn log_in(
        base_url: &str,
        user_id: &str,
        password: &str,
        log: PathBuf,
    ) -> Result<Self, DemoError> {
        // The engine appends, and only this run's is of interest.
        fs_err::write(&log, "").map_err(DemoError::files)?;
        let engine = JsEngine::start_with_log(log)?;
        let options = LoginOptions {
            device_name: Some(DEVICE_NAME.to_owned()),
            // This device forgets its keys at the end, and an identity whose
            // keys are lost would be in the way of another client.
            cross_signing: CrossSigning::Leave,
            ..LoginOptions::default()
        };
        let user = engine.login(base_url, user_id, password, options)?;
        Ok(Self { user, _engine: engine })
    }
}

impl Deref for Person {
    type Target = JsUser;

    fn deref(&self) -> &JsUser {
        &self.user
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        drop(step("logging the person out and stopping Node", || Ok(self.user.logout()?)));
    }
}
