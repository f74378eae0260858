//! Decides whether an agent's store may be used with its account.
//!
//! Servers accept other identity keys for a device they know; every client
//! refuses them for ever. So an agent that goes on after its store and the
//! server have come apart looks healthy and is deaf. This is decided before
//! anything that could upload a key exists.

use std::fmt;

/// What the crypto store says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalAccount {
    /// There is no store, or no account in it.
    Absent,
    /// The account in the store.
    Present {
        /// Whose it is.
        user: String,
        /// The device it belongs to.
        device: String,
        /// Its public identity keys.
        keys: IdentityKeys,
        /// Whether its keys were uploaded once.
        shared: bool,
    },
}

/// The public identity keys of a device, base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityKeys {
    /// The fingerprint key.
    pub ed25519: String,
    /// The key that Olm messages are encrypted to.
    pub curve25519: String,
}

/// Everything the verdict depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings {
    /// The account that is configured.
    pub user: String,
    /// The device that the session belongs to, as the server sees it.
    pub device: String,
    /// What the store holds.
    pub local: LocalAccount,
    /// What the server publishes for the device.
    pub server: Option<IdentityKeys>,
    /// Whether this device ran here before, by what was written down beside the store.
    pub known: bool,
}

/// How an agent with a usable store goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Neither side has keys: make them.
    Fresh,
    /// Both sides have the same keys.
    Equal,
    /// Keys were made and not uploaded yet.
    FirstUploadPending,
}

/// How store, session and server can disagree. None of these may go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The store belongs to another account.
    #[error("the crypto store belongs to {stored}, not to {configured}")]
    OtherAccount {
        /// Whose the store is.
        stored: String,
        /// Who is configured.
        configured: String,
    },
    /// The token belongs to another account.
    #[error("the access token belongs to {token}, not to {configured}")]
    OtherToken {
        /// Whose the token is.
        token: String,
        /// Who is configured.
        configured: String,
    },
    /// The store belongs to another device of the account.
    #[error("the crypto store belongs to device {stored}, the session to device {session}")]
    OtherDevice {
        /// Which device the store belongs to.
        stored: String,
        /// Which device the session belongs to.
        session: String,
    },
    /// The server knows keys for the device, the store is gone.
    #[error("the crypto store of device {device} is gone, and the server has its keys")]
    StoreLost {
        /// The device.
        device: String,
    },
    /// Server and store have different keys for the device.
    #[error("the server publishes other keys for device {device} than the crypto store holds")]
    KeysDiffer {
        /// The device.
        device: String,
    },
    /// The keys were uploaded once and the server no longer has them.
    #[error("the server no longer has the keys of device {device}")]
    KeysVanished {
        /// The device.
        device: String,
    },
    /// The agent lived on after this folder's last life.
    #[error("the files of device {device} are older than what it did last: {detail}")]
    RolledBack {
        /// The device.
        device: String,
        /// How that was seen.
        detail: String,
    },
    /// Another copy of the agent is running.
    #[error("another launcher runs as {user} right now")]
    Cloned {
        /// The account.
        user: String,
    },
}

impl Mismatch {
    /// Every name that a mismatch can have, see [`Mismatch::code`].
    pub const CODES: [&'static str; 8] = [
        "store_other_account",
        "token_other_account",
        "store_other_device",
        "store_lost",
        "keys_differ",
        "keys_vanished",
        "store_rolled_back",
        "store_cloned",
    ];

    /// The name of the mismatch, for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::OtherAccount { .. } => "store_other_account",
            Self::OtherToken { .. } => "token_other_account",
            Self::OtherDevice { .. } => "store_other_device",
            Self::StoreLost { .. } => "store_lost",
            Self::KeysDiffer { .. } => "keys_differ",
            Self::KeysVanished { .. } => "keys_vanished",
            Self::RolledBack { .. } => "store_rolled_back",
            Self::Cloned { .. } => "store_cloned",
        }
    }

    /// What an operator can do about it.
    pub fn action(&self) -> &'static str {
        match self {
            Self::OtherAccount { .. } => {
                "set matrix.user_id back, or move the agent's data folder aside to start afresh"
            }
            Self::OtherToken { .. } => "set matrix.access_token to a token of matrix.user_id",
            Self::OtherDevice { .. } => {
                "set matrix.access_token back, or move the agent's data folder aside to start \
                 afresh as the token's device"
            }
            Self::StoreLost { .. } | Self::KeysDiffer { .. } => {
                "put the agent's own store back, or run `launcher reset ID`: it becomes a new \
                 device (that needs the account's password)"
            }
            Self::KeysVanished { .. } | Self::RolledBack { .. } => {
                "run `launcher reset ID`: the agent becomes a new device (that needs the \
                 account's password)"
            }
            Self::Cloned { .. } => {
                "stop the other one, or remove this agent's folder; then touch its config.yaml"
            }
        }
    }
}

/// Compares store, session and server.
///
/// # Errors
///
/// The first [`Mismatch`], those of identity before those of keys.
pub fn verdict(findings: &Findings) -> Result<Verdict, Mismatch> {
    let device = || findings.device.clone();
    match (&findings.local, &findings.server) {
        (LocalAccount::Present { user, .. }, _) if *user != findings.user => {
            Err(Mismatch::OtherAccount { stored: user.clone(), configured: findings.user.clone() })
        }
        (LocalAccount::Present { device: stored, .. }, _) if *stored != findings.device => {
            Err(Mismatch::OtherDevice { stored: stored.clone(), session: device() })
        }
        (LocalAccount::Present { keys, .. }, Some(server)) if keys == server => Ok(Verdict::Equal),
        (LocalAccount::Present { .. }, Some(_)) => Err(Mismatch::KeysDiffer { device: device() }),
        (LocalAccount::Present { shared: false, .. }, None) => Ok(Verdict::FirstUploadPending),
        (LocalAccount::Present { shared: true, .. }, None) => {
            Err(Mismatch::KeysVanished { device: device() })
        }
        (LocalAccount::Absent, Some(_)) => Err(Mismatch::StoreLost { device: device() }),
        (LocalAccount::Absent, None) if findings.known => {
            Err(Mismatch::StoreLost { device: device() })
        }
        (LocalAccount::Absent, None) => Ok(Verdict::Fresh),
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Fresh => "fresh",
            Self::Equal => "equal",
            Self::FirstUploadPending => "first upload pending",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(name: &str) -> IdentityKeys {
        IdentityKeys { ed25519: format!("ed-{name}"), curve25519: format!("curve-{name}") }
    }

    fn present(user: &str, device: &str, key: &str, shared: bool) -> LocalAccount {
        LocalAccount::Present { user: user.into(), device: device.into(), keys: keys(key), shared }
    }

    fn check(local: LocalAccount, server: Option<&str>, known: bool) -> String {
        let findings = Findings {
            user: "@bot:hs".into(),
            device: "DEV".into(),
            local,
            server: server.map(keys),
            known,
        };
        match verdict(&findings) {
            Ok(verdict) => verdict.to_string(),
            Err(mismatch) => mismatch.code().to_owned(),
        }
    }

    #[test]
    fn a_device_that_nobody_knows_is_fresh() {
        assert_eq!(check(LocalAccount::Absent, None, false), "fresh");
    }

    #[test]
    fn a_store_that_was_there_before_is_lost_even_if_the_server_forgot_it_too() {
        assert_eq!(check(LocalAccount::Absent, None, true), "store_lost");
    }

    #[test]
    fn a_missing_store_with_keys_on_the_server_is_lost() {
        assert_eq!(check(LocalAccount::Absent, Some("a"), true), "store_lost");
        assert_eq!(check(LocalAccount::Absent, Some("a"), false), "store_lost");
    }

    #[test]
    fn equal_keys_go_on() {
        assert_eq!(check(present("@bot:hs", "DEV", "a", true), Some("a"), true), "equal");
        assert_eq!(check(present("@bot:hs", "DEV", "a", false), Some("a"), true), "equal");
    }

    #[test]
    fn different_keys_stop() {
        assert_eq!(check(present("@bot:hs", "DEV", "a", true), Some("b"), true), "keys_differ");
        assert_eq!(check(present("@bot:hs", "DEV", "a", false), Some("b"), true), "keys_differ");
        let mut half = keys("a");
        half.curve25519 = "other".into();
        let findings = Findings {
            user: "@bot:hs".into(),
            device: "DEV".into(),
            local: present("@bot:hs", "DEV", "a", true),
            server: Some(half),
            known: true,
        };
        assert_eq!(verdict(&findings).unwrap_err().code(), "keys_differ");
    }

    #[test]
    fn keys_that_were_never_uploaded_are_uploaded() {
        let local = present("@bot:hs", "DEV", "a", false);
        assert_eq!(check(local, None, false), "first upload pending");
    }

    #[test]
    fn uploaded_keys_that_vanished_stop() {
        assert_eq!(check(present("@bot:hs", "DEV", "a", true), None, true), "keys_vanished");
    }

    #[test]
    fn another_account_or_device_stops_before_keys_are_compared() {
        let other = present("@eve:hs", "DEV", "a", true);
        assert_eq!(check(other, Some("a"), true), "store_other_account");
        let other = present("@bot:hs", "OLD", "a", true);
        assert_eq!(check(other, Some("a"), true), "store_other_device");
    }
    /// One mismatch of each kind, one after the other: a new kind does not
    /// compile before it has its place here.
    fn after(mismatch: &Mismatch) -> Option<Mismatch> {
        let (device, user, detail) = (String::new(), String::new(), String::new());
        let (configured, stored) = (String::new(), String::new());
        Some(match mismatch {
            Mismatch::OtherAccount { .. } => {
                Mismatch::OtherToken { token: String::new(), configured }
            }
            Mismatch::OtherToken { .. } => Mismatch::OtherDevice { stored, session: String::new() },
            Mismatch::OtherDevice { .. } => Mismatch::StoreLost { device },
            Mismatch::StoreLost { .. } => Mismatch::KeysDiffer { device },
            Mismatch::KeysDiffer { .. } => Mismatch::KeysVanished { device },
            Mismatch::KeysVanished { .. } => Mismatch::RolledBack { device, detail },
            Mismatch::RolledBack { .. } => Mismatch::Cloned { user },
            Mismatch::Cloned { .. } => return None,
        })
    }

    #[test]
    fn the_list_of_codes_is_complete() {
        let first = Mismatch::OtherAccount { stored: String::new(), configured: String::new() };
        let all = std::iter::successors(Some(first), after);
        assert_eq!(all.map(|mismatch| mismatch.code()).collect::<Vec<_>>(), Mismatch::CODES);
    }
}
