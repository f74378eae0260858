//! The name of an agent: the name of its folder.

use std::{fmt, str::FromStr};

/// The id of an agent: `[a-z0-9][a-z0-9_-]{0,62}`, which is also the name of
/// its folder under `agents/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentId(String);

/// A text that cannot be the id of an agent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not an agent id: 1 to 63 of a-z, 0-9, `_` and `-`, starting with a letter or digit"
)]
pub struct InvalidAgentId {
    /// What was given.
    pub text: String,
}

impl AgentId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AgentId {
    type Err = InvalidAgentId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = text.as_bytes();
        let valid = bytes.first().is_some_and(|&first| plain(first))
            && bytes.len() <= 63
            && bytes.iter().all(|&byte| plain(byte) || byte == b'_' || byte == b'-');
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidAgentId { text: text.to_owned() })
        }
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::AgentId;

    #[test]
    fn an_id_is_a_short_lower_case_folder_name() {
        for valid in ["a", "0", "assistant", "a-b_c", &"x".repeat(63)] {
            assert!(valid.parse::<AgentId>().is_ok(), "{valid}");
        }
        for invalid in ["", "-a", "_a", "A", "a.b", "ä", "a/b", "..", &"x".repeat(64)] {
            assert!(invalid.parse::<AgentId>().is_err(), "{invalid}");
        }
    }
}
