//! Names that a chat network gives to things, each its own type.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the text as it is; the network made it and it is not checked.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

name!(
    /// A room.
    RoomId
);
name!(
    /// An event in a room.
    EventId
);
name!(
    /// An account on the network.
    UserId
);
name!(
    /// A device of an account.
    DeviceId
);

impl EventId {
    /// Stands for an event whose id nobody knows yet.
    pub fn unknown() -> Self {
        Self(String::new())
    }

    /// Whether this stands for an event whose id nobody knows yet.
    pub fn is_unknown(&self) -> bool {
        self.0.is_empty()
    }
}

impl UserId {
    /// A user id that somebody typed; `None` if it does not look like one,
    /// `@localpart:server` or, in Messager, a UUID.
    pub fn typed(text: &str) -> Option<Self> {
        if is_uuid(text) {
            return Some(Self::new(text));
        }
        // The longest that there can be (spec, appendix 4.2.1).
        const LONGEST: usize = 255;
        let (localpart, server) = text.strip_prefix('@')?.split_once(':')?;
        let is_odd = |char: char| char.is_whitespace() || char.is_control();
        let fits = text.len() <= LONGEST && !text.contains(is_odd);
        (fits && !localpart.is_empty() && !server.is_empty()).then(|| Self::new(text))
    }
}

impl RoomId {
    /// A room id that somebody typed; `None` if it does not look like one,
    /// `!opaque:server`, or `!opaque` from room version 12 on; in Messager a UUID.
    pub fn typed(text: &str) -> Option<Self> {
        if is_uuid(text) {
            return Some(Self::new(text));
        }
        // The longest that there can be (spec, appendix 4.2.1).
        const LONGEST: usize = 255;
        let opaque = text.strip_prefix('!')?;
        let is_odd = |char: char| char.is_whitespace() || char.is_control();
        let fits = text.len() <= LONGEST && !text.contains(is_odd);
        (fits && !opaque.is_empty() && !opaque.starts_with(':')).then(|| Self::new(text))
    }
}

/// Whether a text is a UUID as Messager writes them: 32 lower-case hex digits
/// with four hyphens.
fn is_uuid(text: &str) -> bool {
    const HYPHENS: [usize; 4] = [8, 13, 18, 23];
    text.len() == 36
        && text.bytes().enumerate().all(|(position, byte)| match HYPHENS.contains(&position) {
            true => byte == b'-',
            false => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        })
}

#[cfg(test)]
mod tests {
    use super::{RoomId, UserId};

    #[test]
    fn what_is_typed_has_to_look_like_a_room_id() {
        for text in ["!abc:hs.test", "!a:hs:8448", "!31hneApxJ_1o-63DmFrpeqnkFfWppnzWso1JvH3ogLM"] {
            assert_eq!(RoomId::typed(text).unwrap().as_str(), text);
        }
        for text in ["", "!", "!:hs", "abc:hs", "#abc:hs", "!a b:hs", "!a:h\n"] {
            assert_eq!(RoomId::typed(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_typed_has_to_look_like_a_user_id() {
        for text in ["@alice:hs.test", "@a:hs:8448", "@Ä=/_:hs", "@a:[::1]:80"] {
            assert_eq!(UserId::typed(text).unwrap().as_str(), text);
        }
        let long = format!("@{}:hs", "a".repeat(252));
        for text in
            ["", "alice", "alice:hs", "@alice", "@:hs", "@alice:", "@a b:hs", "@a:h\n", &long]
        {
            assert_eq!(UserId::typed(text), None, "{text}");
        }
    }
}
