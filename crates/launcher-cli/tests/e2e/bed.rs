//! What all cases share: one homeserver and one engine of users.

use std::sync::{
    Mutex, OnceLock,
    atomic::{AtomicU32, Ordering},
};

use launcher_testbed::{
    Account, Homeserver, HomeserverOptions, JsEngine, JsUser, LoginOptions, TestbedError,
};

/// The password of every account.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// The shared servers, started when the first case asks.
#[derive(Default)]
pub(crate) struct Bed {
    started: OnceLock<Servers>,
    starting: Mutex<()>,
    names: AtomicU32,
}

struct Servers {
    homeserver: Homeserver,
    engine: JsEngine,
}

impl Bed {
    pub(crate) fn homeserver(&self) -> &Homeserver {
        &self.servers().homeserver
    }

    /// A name that no other case uses.
    pub(crate) fn name(&self, stem: &str) -> String {
        format!("{stem}{}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    /// A new person, signed in.
    pub(crate) fn person(&self, stem: &str) -> Result<JsUser, TestbedError> {
        self.person_with(stem, LoginOptions::default())
    }

    pub(crate) fn person_with(
        &self,
        stem: &str,
        options: LoginOptions,
    ) -> Result<JsUser, TestbedError> {
        let homeserver = self.homeserver();
        let user = homeserver.register_without_login(&self.name(stem), PASSWORD)?;
        self.servers().engine.login(homeserver.base_url(), &user, PASSWORD, options)
    }

    /// A further device of an account.
    pub(crate) fn device_of(
        &self,
        user: &str,
        options: LoginOptions,
    ) -> Result<JsUser, TestbedError> {
        let address = self.homeserver().base_url();
        self.servers().engine.login(address, user, PASSWORD, options)
    }

    /// A new person, signed in at this address of the homeserver.
    pub(crate) fn person_at(&self, stem: &str, address: &str) -> Result<JsUser, TestbedError> {
        let user = self.homeserver().register_without_login(&self.name(stem), PASSWORD)?;
        self.servers().engine.login(address, &user, PASSWORD, LoginOptions::default())
    }

    /// A new person on a homeserver of the case's own.
    pub(crate) fn person_of(
        &self,
        homeserver: &Homeserver,
        name: &str,
    ) -> Result<JsUser, TestbedError> {
        let user = homeserver.register_without_login(name, PASSWORD)?;
        let address = homeserver.base_url();
        self.servers().engine.login(address, &user, PASSWORD, LoginOptions::default())
    }

    /// A new account with a token.
    pub(crate) fn account(&self, stem: &str) -> Result<Account, TestbedError> {
        self.homeserver().register(&self.name(stem), PASSWORD)
    }

    /// Stops what was started.
    pub(crate) fn stop(&self) {
        if let Some(servers) = self.started.get() {
            servers.homeserver.stop();
        }
    }

    fn servers(&self) -> &Servers {
        let _one_at_a_time = self.starting.lock();
        self.started.get_or_init(|| Servers {
            homeserver: Homeserver::start(HomeserverOptions::default()).unwrap(),
            engine: JsEngine::start().unwrap(),
        })
    }
}
