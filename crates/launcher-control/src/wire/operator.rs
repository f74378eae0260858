//! What is asked and answered about one agent's account and files.

use std::path::PathBuf;

use launcher_runtime::ports::{
    archive::ArchiveSummary,
    maintenance::{Check, DeviceEntry, Outcome, RetiredStore},
};
use serde::{Deserialize, Serialize};

use super::secret::{KeyText, SecretText};

/// The answer to `GET` and `DELETE /v1/agents/{id}/stores`: those that are
/// there, or those that were removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoresReply {
    /// Oldest first.
    pub stores: Vec<StoreReply>,
}

/// A crypto store that was put aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreReply {
    /// Its folder's name, beside the store's folder.
    pub name: String,
    /// The device it belonged to.
    pub device_id: String,
    /// When it was put aside, in seconds since 1970.
    pub retired: u64,
    /// The size of its files, in bytes.
    pub size: u64,
}

/// The answer to `GET /v1/agents/{id}/devices` and
/// `DELETE /v1/agents/{id}/devices/stale`: those that are there, or those that
/// were removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevicesReply {
    /// The agent's own first.
    pub devices: Vec<DeviceReply>,
}

/// A device of an agent's account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceReply {
    /// Its id.
    pub device_id: String,
    /// What it is called.
    pub name: Option<String>,
    /// When the server last saw it, in milliseconds since 1970.
    pub last_seen_ms: Option<u64>,
    /// Whether it takes part in encrypted rooms.
    pub has_keys: bool,
    /// Whether the account's owner has signed it.
    pub signed: bool,
    /// Whether it is the agent itself.
    pub own: bool,
    /// Whether it is left over from an earlier life of this agent.
    pub stale: bool,
}

/// The answer to `GET /v1/agents/{id}/doctor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChecksReply {
    /// In the order in which they were made.
    pub checks: Vec<CheckReply>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReply {
    /// What: stable, `snake_case`.
    pub name: String,
    /// How it is.
    pub outcome: Grade,
    /// What was found, in a sentence.
    pub finding: String,
    /// What helps, if something has to be done.
    pub action: Option<String>,
}

/// How something is that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// As it should be.
    Good,
    /// It could not be looked at, or is not what is best.
    Notable,
    /// Not as it should be.
    Bad,
}

/// The body of `POST /v1/agents/{id}/reset`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResetRequest {
    /// The account's password, if none is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretText>,
}

/// The body of `POST /v1/agents/{id}/recovery-key`, and the answer to
/// `POST /v1/agents/{id}/recovery-key/show`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecoveryKey {
    /// The key.
    pub key: SecretText,
}

/// The body of `POST /v1/agents/{id}/rekey`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RekeyRequest {
    /// The pickle key that is to come.
    pub new_key: KeyText,
}

/// The body of `POST /v1/agents/{id}/backup`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupRequest {
    /// Where the archive is to be: absolute, and nothing there yet.
    pub path: PathBuf,
}

/// The answer to `POST /v1/agents/{id}/backup`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupReply {
    /// How many files are in it.
    pub files: usize,
    /// How large it is, in bytes.
    pub size: u64,
}

impl From<ArchiveSummary> for BackupReply {
    fn from(summary: ArchiveSummary) -> Self {
        Self { files: summary.files, size: summary.size }
    }
}

impl From<RetiredStore> for StoreReply {
    fn from(store: RetiredStore) -> Self {
        Self {
            name: store.name,
            device_id: store.device_id,
            retired: store.retired,
            size: store.size,
        }
    }
}

impl From<DeviceEntry> for DeviceReply {
    fn from(device: DeviceEntry) -> Self {
        Self {
            device_id: device.device_id,
            name: device.name,
            last_seen_ms: device.last_seen,
            has_keys: device.has_keys,
            signed: device.signed,
            own: device.own,
            stale: device.stale,
        }
    }
}

impl From<Check> for CheckReply {
    fn from(check: Check) -> Self {
        Self {
            name: check.name.to_owned(),
            outcome: check.outcome.into(),
            finding: check.finding,
            action: check.action,
        }
    }
}

impl From<Outcome> for Grade {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Good => Self::Good,
            Outcome::Notable => Self::Notable,
            Outcome::Bad => Self::Bad,
        }
    }
}

#[cfg(test)]
mod tests {
    use launcher_core::secret::Secret;

    use super::*;

    #[test]
    fn debug_of_a_request_shows_no_secret() {
        let text = || SecretText(Secret::new("hunter2".to_owned()));
        let shown = format!(
            "{:?} {:?} {:?}",
            ResetRequest { password: Some(text()) },
            RecoveryKey { key: text() },
            RekeyRequest { new_key: KeyText(Secret::new([0xab; 32])) },
        );
        assert!(!shown.contains("hunter2") && !shown.contains("171"), "{shown}");
        assert_eq!(shown.matches("Secret(…)").count(), 3);
    }

    #[test]
    fn a_reset_needs_no_password_in_its_body() {
        let plain: ResetRequest = serde_json::from_str("{}").unwrap();
        assert_eq!(plain, ResetRequest { password: None });
        assert_eq!(serde_json::to_string(&plain).unwrap(), "{}");
    }
}
