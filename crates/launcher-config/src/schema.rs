//! Names every key of every file: its type, its default, what it is for.
//!
//! There is one table, so that the check for unknown keys, the masking of
//! lines and the reference for operators cannot disagree.

mod table;

pub(crate) use table::{AGENT, ROOT};

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
    /// Exactly one of further keys.
    OneOf,
    /// The keys of an agent.
    AgentKeys,
    /// Names of commands, which an operator makes up. What each holds is in the
    /// table under [`NAME`] in place of the name.
    Commands,
    /// A program and its arguments.
    Program,
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
    /// A duration, or `off`.
    DurationOrOff,
    SocketAddress,
    /// A whole number.
    Number,
    Choice(&'static [&'static str]),
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
    /// Whether a map is expected.
    pub(crate) fn is_map(self) -> bool {
        matches!(self, Self::Section | Self::OneOf | Self::AgentKeys | Self::Commands)
    }
}

/// The keys directly below `parent`; at the top if that is empty.
pub(crate) fn children<'a>(
    table: &'static [Key],
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
    ROOT.iter().chain(AGENT).find(named).is_some_and(|key| key.kind != Kind::Secret)
}
