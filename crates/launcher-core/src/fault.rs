//! Why an agent cannot go on, and what helps.
//!
//! A *passing* fault is tried again after a wait. A *permanent* one would fail
//! the same way every time, and each attempt may cost something (a login, a
//! one-time key), so the agent is parked until a person acts. No match in here
//! has a wildcard arm: a new fault does not compile until somebody has decided.

use std::{path::PathBuf, time::Duration};

use crate::{agent::AgentId, preflight::Mismatch};

/// Why an agent cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Its `config.yaml` is not valid, and no valid one has been seen before.
    #[error("{diagnostic}")]
    ConfigInvalid {
        /// The first problem, `file:line:column: error: path: what`.
        diagnostic: String,
    },
    /// The pickle key does not open the store or the vault.
    #[error("the pickle key does not open {}", .path.display())]
    StoreKeyWrong {
        /// The file that it does not open.
        path: PathBuf,
    },
    /// Another process holds the store or the agent's folder.
    #[error("{} is held by another process", .path.display())]
    StoreLocked {
        /// What is held.
        path: PathBuf,
    },
    /// The store is there, but it is not a crypto store that can be read.
    #[error("{} cannot be read as a crypto store: {detail}", .path.display())]
    StoreCorrupt {
        /// The store.
        path: PathBuf,
        /// What was found instead.
        detail: String,
    },
    /// The store's place cannot be read or written.
    #[error("{} cannot be used: {detail}", .path.display())]
    StoreUnusable {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's answer.
        detail: String,
    },
    /// Store, session and server do not describe the same device.
    #[error("{mismatch}")]
    Mismatched {
        /// Which of them disagree.
        mismatch: Mismatch,
    },
    /// The homeserver does not accept the access token.
    #[error("{homeserver} does not accept the access token of {user}")]
    TokenInvalid {
        /// Who was asked.
        homeserver: String,
        /// Whose token it is.
        user: String,
        /// Whether a password is configured.
        password: bool,
    },
    /// The token belongs to no device, so it cannot have keys.
    #[error("the access token of {user} belongs to no device")]
    NoDevice {
        /// Whose token it is.
        user: String,
    },
    /// The homeserver refused the password.
    #[error("{homeserver} refused the login of {user}: {detail}")]
    LoginRefused {
        /// Who was asked.
        homeserver: String,
        /// Who tried to log in.
        user: String,
        /// The server's words.
        detail: String,
    },
    /// The homeserver says that the account is locked or deactivated.
    #[error("{homeserver} does not let {user} in: {detail}")]
    AccountUnusable {
        /// Who was asked.
        homeserver: String,
        /// The account.
        user: String,
        /// The server's words.
        detail: String,
    },
    /// The agent could go on as a new device only, and does not become one by itself.
    #[error("{fault}; {why}")]
    NotReset {
        /// What happened to the device it had.
        fault: Box<Fault>,
        /// Why it is not replaced.
        why: &'static str,
    },
    /// A fault on a network where something else helps than on most.
    #[error("{fault}")]
    Advised {
        /// What happened.
        fault: Box<Fault>,
        /// What helps there.
        action: &'static str,
    },
    /// The homeserver could not be reached, or gave an answer of no use.
    #[error("{homeserver}: {detail}")]
    ServerUnavailable {
        /// Who was asked.
        homeserver: String,
        /// What happened.
        detail: String,
        /// When the server wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The store failed while the agent ran.
    #[error("the crypto store failed: {detail}")]
    StoreFailed {
        /// The store's words.
        detail: String,
    },
    /// Something took longer than its limit.
    #[error("{what} took longer than {} s", .limit.as_secs())]
    Stuck {
        /// What was being done.
        what: String,
        /// The limit.
        limit: Duration,
    },
    /// The agent's task panicked. That is a bug in the launcher.
    #[error("the agent's task panicked: {detail}")]
    Panicked {
        /// The panic's message.
        detail: String,
    },
}

impl Fault {
    /// Every name that a fault has by itself, see [`Fault::code`]. A mismatch has
    /// one of [`Mismatch::CODES`].
    pub const CODES: [&'static str; 13] = [
        "config_invalid",
        "store_key_wrong",
        "store_locked",
        "store_corrupt",
        "store_unusable",
        "token_invalid",
        "no_device",
        "login_refused",
        "account_unusable",
        "server_unavailable",
        "store_failed",
        "stuck",
        "panicked",
    ];

    /// The name of the fault, for machines: stable, `snake_case`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ConfigInvalid { .. } => "config_invalid",
            Self::StoreKeyWrong { .. } => "store_key_wrong",
            Self::StoreLocked { .. } => "store_locked",
            Self::StoreCorrupt { .. } => "store_corrupt",
            Self::StoreUnusable { .. } => "store_unusable",
            Self::Mismatched { mismatch } => mismatch.code(),
            Self::TokenInvalid { .. } => "token_invalid",
            Self::NoDevice { .. } => "no_device",
            Self::LoginRefused { .. } => "login_refused",
            Self::AccountUnusable { .. } => "account_unusable",
            Self::NotReset { fault, .. } | Self::Advised { fault, .. } => fault.code(),
            Self::ServerUnavailable { .. } => "server_unavailable",
            Self::StoreFailed { .. } => "store_failed",
            Self::Stuck { .. } => "stuck",
            Self::Panicked { .. } => "panicked",
        }
    }

    /// Whether the same attempt, unchanged, could never succeed.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::ConfigInvalid { .. }
            | Self::StoreKeyWrong { .. }
            | Self::StoreLocked { .. }
            | Self::StoreCorrupt { .. }
            | Self::Mismatched { .. }
            | Self::TokenInvalid { password: false, .. }
            | Self::NoDevice { .. }
            | Self::LoginRefused { .. }
            | Self::AccountUnusable { .. }
            | Self::NotReset { .. } => true,
            Self::Advised { fault, .. } => fault.is_permanent(),
            // The next start finds out whether the device is gone, and becomes a new one.
            Self::TokenInvalid { password: true, .. }
            | Self::StoreUnusable { .. }
            | Self::ServerUnavailable { .. }
            | Self::StoreFailed { .. }
            | Self::Stuck { .. }
            | Self::Panicked { .. } => false,
        }
    }

    /// How long the server asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::ServerUnavailable { retry_after, .. } => *retry_after,
            Self::Advised { fault, .. } => fault.retry_after(),
            Self::ConfigInvalid { .. }
            | Self::StoreKeyWrong { .. }
            | Self::StoreLocked { .. }
            | Self::StoreCorrupt { .. }
            | Self::StoreUnusable { .. }
            | Self::Mismatched { .. }
            | Self::TokenInvalid { .. }
            | Self::NoDevice { .. }
            | Self::LoginRefused { .. }
            | Self::AccountUnusable { .. }
            | Self::NotReset { .. }
            | Self::StoreFailed { .. }
            | Self::Stuck { .. }
            | Self::Panicked { .. } => None,
        }
    }

    /// What an operator can do about it.
    pub fn action(&self) -> String {
        match self {
            Self::ConfigInvalid { .. } => {
                "correct the file; `launcher check` shows every problem".to_owned()
            }
            Self::StoreKeyWrong { .. } => {
                "set encryption.pickle_key to the key this agent was first started with".to_owned()
            }
            Self::StoreLocked { .. } => {
                "stop the other process that uses this agent's folder, then touch its config.yaml"
                    .to_owned()
            }
            Self::StoreCorrupt { path, .. } => format!(
                "put back a readable copy of {} (if it is the crypto store, `launcher reset ID` \
                 makes a new device instead)",
                path.display()
            ),
            Self::StoreUnusable { path, .. } => {
                format!("give the launcher's user write access and space at {}", path.display())
            }
            Self::Mismatched { mismatch } => mismatch.action().to_owned(),
            Self::TokenInvalid { password: true, .. } => {
                "nothing; the agent logs in again".to_owned()
            }
            Self::TokenInvalid { password: false, .. } => {
                "run `launcher reset ID`, which asks for the account's password once, or set \
                 matrix.password"
                    .to_owned()
            }
            Self::NotReset { fault, .. } => fault.action(),
            Self::Advised { action, .. } => (*action).to_owned(),
            Self::NoDevice { .. } => {
                "set matrix.access_token to a token from a login, or set matrix.password".to_owned()
            }
            Self::LoginRefused { .. } => {
                "correct matrix.user_id or matrix.password (often a variable in .env)".to_owned()
            }
            Self::AccountUnusable { .. } => {
                "have the server's administrator unlock or reactivate the account".to_owned()
            }
            Self::ServerUnavailable { .. } => {
                "check the server's address (matrix.homeserver or messager.server), the network \
                 and the server; the agent retries by itself"
                    .to_owned()
            }
            Self::StoreFailed { .. } => {
                "check the disk under the agent's data folder; the agent retries by itself"
                    .to_owned()
            }
            Self::Stuck { .. } | Self::Panicked { .. } => {
                "nothing; the agent retries by itself. Please report it with the log".to_owned()
            }
        }
    }

    /// The same, with the agent's name in the commands.
    pub fn action_for(&self, agent: &AgentId) -> String {
        with_name(&self.action(), agent)
    }

    /// Code and sentence, as `status` shows it.
    pub fn reason(&self) -> String {
        format!("{}: {self}", self.code())
    }
}

/// An advice with the agent's name where its commands say `ID`.
pub fn with_name(advice: &str, agent: &AgentId) -> String {
    advice.replace(" ID`", &format!(" {agent}`")).replace(" ID --", &format!(" {agent} --"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One fault of each kind, one after the other: a new kind does not compile
    /// before it has its place here.
    fn after(fault: &Fault) -> Option<Fault> {
        let (homeserver, user, detail) = (String::new(), String::new(), String::new());
        let path = PathBuf::new();
        Some(match fault {
            Fault::ConfigInvalid { .. } => Fault::StoreKeyWrong { path },
            Fault::StoreKeyWrong { .. } => Fault::StoreLocked { path },
            Fault::StoreLocked { .. } => Fault::StoreCorrupt { path, detail },
            Fault::StoreCorrupt { .. } => Fault::StoreUnusable { path, detail },
            Fault::StoreUnusable { .. } => {
                Fault::TokenInvalid { homeserver, user, password: false }
            }
            Fault::TokenInvalid { .. } => Fault::NoDevice { user },
            Fault::NoDevice { .. } => Fault::LoginRefused { homeserver, user, detail },
            Fault::LoginRefused { .. } => Fault::AccountUnusable { homeserver, user, detail },
            Fault::AccountUnusable { .. } => {
                Fault::ServerUnavailable { homeserver, detail, retry_after: None }
            }
            Fault::ServerUnavailable { .. } => Fault::StoreFailed { detail },
            Fault::StoreFailed { .. } => {
                Fault::Stuck { what: String::new(), limit: Duration::ZERO }
            }
            Fault::Stuck { .. } => Fault::Panicked { detail },
            // These have the code of what is in them.
            Fault::Panicked { .. }
            | Fault::Mismatched { .. }
            | Fault::NotReset { .. }
            | Fault::Advised { .. } => {
                return None;
            }
        })
    }

    #[test]
    fn the_list_of_codes_is_complete() {
        let first = Fault::ConfigInvalid { diagnostic: String::new() };
        let all = std::iter::successors(Some(first), after);
        assert_eq!(all.map(|fault| fault.code()).collect::<Vec<_>>(), Fault::CODES);
    }
}
