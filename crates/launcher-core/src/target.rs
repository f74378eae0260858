//! Where an operator wants a message to go.

use std::{fmt, str::FromStr};

use crate::names::{RoomId, UserId};

/// A room, by one of its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A room by its id, `!…`.
    Room(RoomId),
    /// A room by an alias, `#localpart:server`.
    Alias(String),
    /// The encrypted room in which the agent is alone with a user,
    /// `@localpart:server`; in Messager an `@` and a UUID.
    Direct(UserId),
}

/// What was typed names no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a room id `!…` (in Messager a UUID), an alias `#room:server` or a user id \
     `@user:server` (in Messager `@` and a UUID)"
)]
pub struct NoTarget;

/// The longest name that there can be, in bytes (spec, appendix 4.2).
const LONGEST: usize = 255;

impl FromStr for Target {
    type Err = NoTarget;

    fn from_str(text: &str) -> Result<Self, NoTarget> {
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
            Some('@') => {
                let user = UserId::typed(text).or_else(|| UserId::typed(text.get(1..)?));
                user.map(Self::Direct).ok_or(NoTarget)
            }
            _ => RoomId::typed(text).map(Self::Room).ok_or(NoTarget),
        }
    }
}

impl fmt::Display for Target {
    /// The name as it was typed.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Room(room) => room.fmt(formatter),
            Self::Alias(alias) => formatter.write_str(alias),
            Self::Direct(user) if user.as_str().starts_with('@') => user.fmt(formatter),
            Self::Direct(user) => write!(formatter, "@{user}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";

    #[test]
    fn a_room_has_an_id_an_alias_or_a_user() {
        for (text, target) in [
            ("!abc:hs", Target::Room(RoomId::new("!abc:hs"))),
            ("!v12-has-no-server", Target::Room(RoomId::new("!v12-has-no-server"))),
            ("#room:hs:8448", Target::Alias("#room:hs:8448".to_owned())),
            ("@alice:hs", Target::Direct(UserId::new("@alice:hs"))),
            (UUID, Target::Room(RoomId::new(UUID))),
            (&format!("@{UUID}"), Target::Direct(UserId::new(UUID))),
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
