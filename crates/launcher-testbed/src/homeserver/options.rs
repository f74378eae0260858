//! What a test may choose about its homeserver.

use std::{path::PathBuf, time::Duration};

use tempfile::TempDir;

use crate::TestbedError;

/// How to run a [`Homeserver`](crate::Homeserver).
#[derive(Debug, Clone, Default)]
pub struct HomeserverOptions {
    /// Where to keep its data. Made if it is absent; if it holds a homeserver,
    /// that one continues. Without one, a temporary directory is used.
    pub directory: Option<PathBuf>,
    /// What the ids of its users end with; without one, what the directory
    /// says, or else `localhost`.
    pub server_name: Option<String>,
    /// The port on the loopback address; without one, that of the last time,
    /// or else a free one.
    pub port: Option<u16>,
    /// Whether Synapse slows clients down.
    pub rate_limits: RateLimits,
    /// How long a token lasts that its owner cannot refresh; for ever without
    /// it. Whole milliseconds count.
    pub access_token_lifetime: Option<Duration>,
    /// How long a token lasts that its owner can refresh, which it has to ask
    /// for at its login; five minutes without it.
    pub refreshable_access_token_lifetime: Option<Duration>,
    /// Who may register.
    pub registration: Registration,
}

/// Who may register. With the shared secret everybody may, always.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Registration {
    /// Everybody.
    #[default]
    Open,
    /// Whoever has a token, see
    /// [`admin_registration_token`](crate::Homeserver::admin_registration_token).
    Token,
    /// Nobody.
    Closed,
}

/// Whether Synapse slows clients down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RateLimits {
    /// It answers as fast as it can.
    #[default]
    Off,
    /// It has the limits of a fresh installation, such as 0.2 messages per
    /// second after a burst of ten, and answers `M_LIMIT_EXCEEDED`.
    SynapseDefaults,
}

impl HomeserverOptions {
    /// Keeps the data in `directory`, so that it can be started again there.
    #[must_use]
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Uses the limits of a fresh installation of Synapse.
    #[must_use]
    pub fn with_rate_limits(mut self) -> Self {
        self.rate_limits = RateLimits::SynapseDefaults;
        self
    }

    /// Registers only whom this lets in.
    #[must_use]
    pub fn registration(mut self, registration: Registration) -> Self {
        self.registration = registration;
        self
    }

    /// Lets tokens expire that nobody can refresh: those of every login that
    /// does not ask for another kind.
    ///
    /// A token that was handed out keeps the lifetime it had then, also over a
    /// start with other options. An expired one is refused with
    /// `M_UNKNOWN_TOKEN` and `soft_logout`: its device is still there.
    #[must_use]
    pub fn access_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.access_token_lifetime = Some(lifetime);
        self
    }

    /// Lets tokens that can be refreshed expire sooner than after five
    /// minutes, or later. Independent of [`Self::access_token_lifetime`].
    #[must_use]
    pub fn refreshable_access_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.refreshable_access_token_lifetime = Some(lifetime);
        self
    }

    /// The directory to use, which exists, and who deletes it, if anybody.
    pub(super) fn open_directory(&self) -> Result<(PathBuf, Option<TempDir>), TestbedError> {
        let Some(directory) = &self.directory else {
            let temporary = tempfile::Builder::new()
                .prefix("testbed-")
                .tempdir()
                .map_err(TestbedError::files)?;
            return Ok((temporary.path().to_path_buf(), Some(temporary)));
        };
        fs_err::create_dir_all(directory).map_err(TestbedError::files)?;
        // Synapse runs inside it, so a relative path would mean another place.
        let directory = fs_err::canonicalize(directory).map_err(TestbedError::files)?;
        Ok((directory, None))
    }
}
