//! When an agent answers, and who may change that.

use std::time::Duration;

use super::Requirement;

/// Which messages an agent answers, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerPolicy {
    /// Any of these is enough. Messages that name a command are always meant
    /// for the agent.
    pub when: Vec<Occasion>,
    /// A message that starts with this is meant for the agent, which does not see it.
    pub prefix: Option<String>,
    /// Names that it listens to, beside its user id; compared without case.
    pub names: Vec<String>,
    /// Globs (`*`, `?`) on user ids; one must match the sender's whole id.
    pub users: Vec<String>,
    /// How long nothing more of the same sender must come before a message is
    /// answered; what comes in that time is answered with it.
    pub debounce: Duration,
    /// How often one user is answered.
    pub per_user: Option<Rate>,
    /// How often is answered in one room.
    pub per_room: Option<Rate>,
    /// When it is silent.
    pub quiet_hours: Option<QuietHours>,
    /// Which other bots it answers.
    pub bots: BotPolicy,
    /// Whether the room sees that it is at work.
    pub typing: bool,
}

impl Default for AnswerPolicy {
    /// Everybody's messages, at once.
    fn default() -> Self {
        Self {
            when: vec![Occasion::Always],
            prefix: None,
            names: Vec::new(),
            users: vec!["*".to_owned()],
            debounce: Duration::ZERO,
            per_user: None,
            per_room: None,
            quiet_hours: None,
            bots: BotPolicy::default(),
            typing: true,
        }
    }
}

/// Why a message is meant for an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Occasion {
    /// Every message is.
    Always,
    /// Nobody else is in the room.
    Direct,
    /// It mentions the agent or says its name.
    Mentioned,
    /// It is in a thread in which the agent has answered.
    Thread,
}

impl Occasion {
    /// Every occasion with the word for it in a config file.
    pub const WORDS: [(&str, Self); 4] = [
        ("always", Self::Always),
        ("direct", Self::Direct),
        ("mentioned", Self::Mentioned),
        ("thread", Self::Thread),
    ];

    /// The word for it in a config file.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, occasion)| *occasion == self).map_or("", |(word, _)| word)
    }
}

/// So many in any time of this length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many; at least one.
    pub count: u32,
    /// In how long; at least a second, at most a day.
    pub per: Duration,
}

/// A part of each day. It may go over midnight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuietHours {
    /// When it begins, in minutes after midnight; below 1440.
    pub from: u16,
    /// When it ends, in the same way; another one than `from`.
    pub to: u16,
    /// The time zone, by its IANA name.
    pub timezone: String,
    /// Whether what is said meanwhile is answered afterwards.
    pub answer_later: bool,
}

impl QuietHours {
    /// How long they last, on a day on which no clock is changed.
    pub fn length(&self) -> Duration {
        const DAY: u16 = 24 * 60;
        let minutes = (self.to % DAY + DAY - self.from % DAY) % DAY;
        Duration::from_secs(u64::from(minutes) * 60)
    }
}

/// Which bots are answered, and how often. Without this, none is: an agent
/// never answers what says of itself that no person wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BotPolicy {
    /// Globs on user ids, as everywhere.
    pub users: Vec<String>,
    /// How many answers to bots there may be in a room until a person says
    /// something; at least one.
    pub turns: u32,
}

impl Default for BotPolicy {
    /// Nobody; five turns for those who are named later.
    fn default() -> Self {
        Self { users: Vec::new(), turns: 5 }
    }
}

/// Who may change settings in a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingsPolicy {
    /// Globs on user ids, as everywhere. Nobody by default.
    pub users: Vec<String>,
    /// How sure it has to be who that is.
    pub require: Requirement,
}
