//! Where an operator wants a message to go.

use std::{fmt, str::FromStr};

use crate::names::{RoomId, UserId, is_guid};

/// A room, by one of its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A room by its id, `!…`; in Messager a GUID, which can be that of a person
    /// as well: then it is the chat with them.
    Room(RoomId),
    /// A room by an alias, `#localpart:server`.
    Alias(String),
    /// The encrypted room in which the agent is alone with a user, `@localpart:server`.
    Direct(UserId),
}

/// What was typed names no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a room id `!…`, an alias `#room:server`, a user id `@user:server` or a GUID")]
pub struct NoTarget;

/// The longest name that there can be, in bytes (spec, appendix 4.2).
const LONGEST: usize = 255;

impl Target {
    /// The name as it was typed.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Room(room) => room.as_str(),
            Self::Alias(alias) => alias,
            Self::Direct(user) => user.as_str(),
        }
    }
}

impl FromStr for Target {
    type Err = NoTarget;

    fn from_str(text: &str) -> Result<Self, NoTarget> {
        if is_guid(text) {
            return Ok(Self::Room(RoomId::new(text.to_ascii_lowercase())));
        }
        let is_odd = |char: char| char.is_whitespace() || char.is_control();
        if text.len() > LONGEST || text.contains(is_odd) {
            return Err(NoTarget);
        }
        let is_alias = || {
            let parts = text.strip_prefix('#').and_then(|rest| rest.split_once(':'));
            parts.is_some_and(|(name, server)| !name.is_empty() && !server.is_empty())
        };
        match text.chars().next() {
            // Since room version 12 there is no server in it.
            Some('!') if text.len() > 1 => Ok(Self::Room(RoomId::new(text))),
            Some('#') if is_alias() => Ok(Self::Alias(text.to_owned())),
            Some('@') => UserId::typed(text).map(Self::Direct).ok_or(NoTarget),
            _ => Err(NoTarget),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_has_an_id_an_alias_or_a_user() {
        for (text, target) in [
            ("!abc:hs", Target::Room(RoomId::new("!abc:hs"))),
            ("!v12-has-no-server", Target::Room(RoomId::new("!v12-has-no-server"))),
            ("#room:hs:8448", Target::Alias("#room:hs:8448".to_owned())),
            ("@alice:hs", Target::Direct(UserId::new("@alice:hs"))),
            (
                "0193b1c2-aaaa-7bbb-8ccc-0123456789ab",
                Target::Room(RoomId::new("0193b1c2-aaaa-7bbb-8ccc-0123456789ab")),
            ),
        ] {
            assert_eq!(text.parse(), Ok(target.clone()));
            assert_eq!(target.to_string(), text);
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let long = format!("!{}", "a".repeat(255));
        for text in
            ["", "!", "#room", "#:hs", "#room:", "@alice", "room", "!a b", "!a\u{1b}[31m", &long]
        {
            assert_eq!(text.parse::<Target>(), Err(NoTarget), "{text}");
        }
    }
}
