//! What one run of the demo remembers for the next.

use std::path::Path;

use launcher_testbed::Account;
use serde::{Deserialize, Serialize};

/// Forgetting any of it is harmless: the demo then makes a new one.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Memory {
    /// The port of the homeserver, so that another client can come back.
    pub(crate) port: Option<u16>,
    /// The room of the person and the agent.
    pub(crate) room: Option<String>,
    /// The person's login, until it is logged out.
    pub(crate) login: Option<Account>,
}

impl Memory {
    /// What is remembered at `path`; nothing, if that cannot be read.
    pub(crate) fn recall(path: &Path) -> Self {
        let bytes = fs_err::read(path).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// The text that [`Self::recall`] reads.
    pub(crate) fn text(&self) -> String {
        serde_json::json!(self).to_string() + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_recalled_and_damage_is_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("memory.json");
        assert_eq!(Memory::recall(&path), Memory::default());
        let memory = Memory { port: Some(8008), room: Some("!r:hs".to_owned()), login: None };
        fs_err::write(&path, memory.text()).unwrap();
        assert_eq!(Memory::recall(&path), memory);
        fs_err::write(&path, "{\"port\":").unwrap();
        assert_eq!(Memory::recall(&path), Memory::default());
    }
}
