//! What a test may choose about a new room.

use serde::Serialize;

/// How to make a room.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RoomOptions {
    /// Its name, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Encryption from the first event on; none without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// The ids of the users to invite.
    pub invite: Vec<String>,
    /// Whether the invitations say that it is a direct chat.
    pub is_direct: bool,
    /// Who may join and what they may do.
    pub preset: Preset,
}

/// How a room is encrypted.
#[derive(Debug, Clone, Serialize)]
pub struct Encryption {
    algorithm: &'static str,
    /// After how many messages a new session begins; the client's default of
    /// 100 without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotation_period_msgs: Option<u64>,
    /// After how many milliseconds a new session begins; the client's default
    /// of a week without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotation_period_ms: Option<u64>,
}

/// Who may join a room and what they may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Invited users may join; the creator rules.
    #[default]
    PrivateChat,
    /// Invited users may join and have the power of the creator.
    TrustedPrivateChat,
    /// Everybody may join.
    PublicChat,
}

impl RoomOptions {
    /// A private room with encryption.
    pub fn encrypted() -> Self {
        Self { encryption: Some(Encryption::default()), ..Self::default() }
    }

    /// A private room without encryption.
    pub fn plain() -> Self {
        Self::default()
    }

    /// Gives the room a name.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Invites one more user.
    #[must_use]
    pub fn invite(mut self, user_id: &str) -> Self {
        self.invite.push(user_id.to_owned());
        self
    }

    /// Makes it a direct chat in which both have the same power, as Element
    /// does.
    #[must_use]
    pub fn direct(mut self) -> Self {
        self.is_direct = true;
        self.preset = Preset::TrustedPrivateChat;
        self
    }

    /// Begins a new session after every `messages` messages. Turns encryption
    /// on.
    #[must_use]
    pub fn rotate_after(mut self, messages: u64) -> Self {
        self.encryption.get_or_insert_default().rotation_period_msgs = Some(messages);
        self
    }
}

impl Default for Encryption {
    fn default() -> Self {
        Self {
            algorithm: "m.megolm.v1.aes-sha2",
            rotation_period_msgs: None,
            rotation_period_ms: None,
        }
    }
}
