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
    /// A user id that somebody typed; `None` if it does not look like one:
    /// `@localpart:server`, or in Messager a GUID.
    pub fn typed(text: &str) -> Option<Self> {
        if is_guid(text) {
            return Some(Self::new(text.to_ascii_lowercase()));
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
    /// A room id that somebody typed; `None` if it does not look like one:
    /// `!opaque:server`, or `!opaque` from room version 12 on; in Messager a GUID.
    pub fn typed(text: &str) -> Option<Self> {
        if is_guid(text) {
            return Some(Self::new(text.to_ascii_lowercase()));
        }
        // The longest that there can be (spec, appendix 4.2.1).
        const LONGEST: usize = 255;
        let opaque = text.strip_prefix('!')?;
        let is_odd = |char: char| char.is_whitespace() || char.is_control();
        let fits = text.len() <= LONGEST && !text.contains(is_odd);
        (fits && !opaque.is_empty() && !opaque.starts_with(':')).then(|| Self::new(text))
    }
}

/// Whether a text is a GUID, as Messager calls everything: 8, 4, 4, 4 and 12
/// hex digits.
pub(crate) fn is_guid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths = groups.iter().map(|group| group.len());
    lengths.eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::{RoomId, UserId};

    #[test]
    fn on_messager_everything_has_a_guid_in_one_spelling() {
        let (typed, meant) =
            ("0193B1C2-AAAA-7bbb-8ccc-0123456789ab", "0193b1c2-aaaa-7bbb-8ccc-0123456789ab");
        assert_eq!(UserId::typed(typed).unwrap().as_str(), meant);
        assert_eq!(RoomId::typed(typed).unwrap().as_str(), meant);
        for text in
            ["0193b1c2aaaa7bbb8ccc0123456789ab", "0193b1c2-aaaa-7bbb-8ccc-0123456789ax", "----"]
        {
            assert!(UserId::typed(text).is_none() && RoomId::typed(text).is_none(), "{text}");
        }
    }

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
