//! Names every key of every file: its type, its default, what it is for.
//!
//! There is one table, so that the check for unknown keys, the masking of
//! lines and the reference for operators cannot disagree.

mod answer;
mod commands;
mod llm;
mod robots;
mod schedule;
mod table;
mod tools;

/// The keys of the root `config.yaml`.
pub(crate) static ROOT: Table = Table(&[table::ROOT]);

/// The keys of `agents/<id>/config.yaml`, and of `defaults`.
pub(crate) static AGENT: Table = Table(&[
    table::AGENT,
    answer::KEYS,
    table::BEHAVIOR,
    commands::KEYS,
    llm::KEYS,
    tools::KEYS,
    robots::KEYS,
    schedule::KEYS,
]);

/// The keys of a file, in the order in which they are explained.
#[derive(Debug)]
pub(crate) struct Table(&'static [&'static [Key]]);

impl Table {
    /// Every key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'static Key> + use<> {
        self.0.iter().copied().flatten()
    }
}

/// Stands in a path of the table for any name that an operator makes up.
pub(crate) const NAME: &str = "<name>";

/// One key.
#[derive(Debug)]
pub(crate) struct Key {
    /// Its dotted path, from the top of the file.
    pub(crate) path: &'static str,
    pub(crate) kind: Kind,
    pub(crate) presence: Presence,
    /// What it is for, in Markdown sentences.
    pub(crate) about: &'static str,
    /// How it looks in a file, at its own level.
    pub(crate) example: &'static str,
}

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Further keys.
    Section,
    /// At least one of further keys, in an order that means something.
    Behaviors,
    /// The keys of an agent.
    AgentKeys,
    /// Names that an operator makes up. What each holds is in the table under
    /// [`NAME`] in place of the name.
    Named(Naming),
    /// Rooms, by their ids. What each holds is in the table under [`NAME`].
    Rooms,
    /// A program and its arguments.
    Program,
    /// Occasions on which a message is meant for an agent.
    Occasions,
    /// A list of texts.
    Texts,
    /// So many in a time.
    Rate,
    /// Two times of a day and a time zone.
    QuietHours,
    /// A schedule.
    Cron,
    /// The name of a time zone.
    TimeZone,
    /// The id of a room.
    RoomId,
    /// A number with a point.
    Decimal,
    /// A size in bytes with a unit, or `off`.
    SizeOrOff,
    Flag,
    Text,
    /// Text that is never shown.
    Secret,
    Folder,
    Address,
    UserId,
    UserGlobs,
    Duration,
    /// A duration that a command may take.
    CommandTime,
    /// Bytes, with a unit.
    Size,
    /// Names of variables and their values.
    Variables,
    /// Names of HTTP headers and their values.
    Headers,
    /// Patterns for the ids of rooms.
    RoomGlobs,
    /// An address that may have a secret anywhere in it.
    SecretAddress,
    /// A duration, or `off`.
    DurationOrOff,
    SocketAddress,
    /// A whole number.
    Number,
    Choice(&'static [&'static str]),
}

/// What names an operator may make up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// What is written in a room: starts with punctuation, such as `!deploy`.
    Command,
    /// A word of `a-z`, `0-9`, `_` and `-`, which starts with a letter.
    Word,
}

/// What holds when a key is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// An agent does not start without it.
    Needed,
    /// It may be left out, and this is what then holds.
    Default(&'static str),
}

impl Key {
    /// The last part of the path.
    pub(crate) fn name(&self) -> &'static str {
        self.path.rsplit_once('.').map_or(self.path, |(_, name)| name)
    }

    fn parent(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(parent, _)| parent)
    }
}

impl Kind {
    /// Whether its value is never shown.
    fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::SecretAddress | Self::Variables)
    }

    /// Whether a map is expected.
    pub(crate) fn is_map(self) -> bool {
        matches!(
            self,
            Self::Section | Self::Behaviors | Self::AgentKeys | Self::Named(_) | Self::Rooms
        )
    }
}

/// The keys directly below `parent`; at the top if that is empty.
pub(crate) fn children<'a>(
    table: &'static Table,
    parent: &'a str,
) -> impl Iterator<Item = &'static Key> + 'a {
    table.iter().filter(move |key| key.parent() == parent)
}

/// The names of keys whose values are never shown.
pub(crate) fn secret_names() -> impl Iterator<Item = &'static str> {
    AGENT.iter().filter(|key| key.kind == Kind::Secret).map(Key::name)
}

/// Whether this is a known key whose value may be shown.
pub(crate) fn is_plain_name(name: &str) -> bool {
    let named = |key: &&Key| key.name() == name;
    ROOT.iter().chain(AGENT.iter()).find(named).is_some_and(|key| !key.kind.is_secret())
}
