//! The launcher's own settings: the root `config.yaml` without `defaults`.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use url::Url;

use crate::{
    reading::{Located, Reading, plainly},
    values::{Fault, address},
};

/// What the root file says, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootConfig {
    /// The folder of the root `config.yaml`, absolute, without symbolic links.
    pub directory: PathBuf,
    /// The folder of the agents' folders, absolute.
    pub agents_dir: PathBuf,
    /// What is logged and how.
    pub log: LogConfig,
    /// Where health and metrics are served; `None` is nowhere.
    pub admin: Option<SocketAddr>,
}

/// What is logged and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogConfig {
    /// For whom.
    pub format: LogFormat,
    /// From which level on.
    pub level: LogLevel,
}

/// For whom the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Pretty,
    /// For machines: one JSON object a line.
    Json,
}

/// The least important level that is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// A person must act.
    Error,
    /// Something went wrong and was recovered from.
    Warn,
    /// What an operator caused.
    #[default]
    Info,
    /// Decisions.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The word for it, as `tracing` knows it too.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// The root file's values, before the folder of the agents has been looked at.
#[derive(Debug)]
pub(crate) struct RootValues {
    pub(crate) homeserver: Option<Url>,
    pub(crate) agents_dir: Option<Located<String>>,
    log: LogConfig,
    admin: Option<SocketAddr>,
}

/// Reads every value of the root file.
pub(crate) fn read(reading: &mut Reading<'_>) -> RootValues {
    let formats = [("pretty", LogFormat::Pretty), ("json", LogFormat::Json)];
    let levels =
        [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace]
            .map(|level| (level.as_str(), level));
    RootValues {
        homeserver: reading.parsed("homeserver", address::homeserver).map(|found| found.value),
        agents_dir: reading.parsed("agents_dir", address::folder),
        log: LogConfig {
            format: reading.choice("log.format", &formats).unwrap_or_default(),
            level: reading.choice("log.level", &levels).unwrap_or_default(),
        },
        admin: admin(reading),
    }
}

/// Where health and metrics are served. There is no login, so it takes two words
/// to show them to others.
fn admin(reading: &mut Reading<'_>) -> Option<SocketAddr> {
    let public = reading.flag("admin.public").is_some_and(|found| found.value);
    let Located { value: address, place } = reading.parsed("admin.listen", socket_address)?;
    if !address.ip().is_loopback() && !public {
        let message =
            format!("`{address}` is not a loopback address, and nobody has to log in there");
        reading.report("admin.listen", &place, message, "write `127.0.0.1`, or add `public: true`");
    }
    Some(address)
}

fn socket_address(text: &str) -> Result<SocketAddr, Fault> {
    plainly(text, || {
        Fault::new("is not an IP address and port").label("write `\"127.0.0.1:8470\"`")
    })
}

impl RootValues {
    /// The settings, once every value is known to be good.
    pub(crate) fn into_config(self, directory: &Path, agents_dir: &Path) -> RootConfig {
        RootConfig {
            directory: directory.to_owned(),
            agents_dir: agents_dir.to_owned(),
            log: self.log,
            admin: self.admin,
        }
    }
}
