//! Tools of an assistant, as its operator describes them.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use wildmatch::WildMatch;

use super::Requirement;
use crate::{
    children::{Limits, Variables},
    secret::Secret,
};

/// What an assistant may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolsSpec {
    /// Servers that have tools, by the operator's names for them; each is one
    /// that [`ToolsSpec::is_name`] accepts.
    pub servers: BTreeMap<String, ToolServerSpec>,
    /// Who agrees to what is not known to be harmless; `None`: nobody can, so
    /// that nothing of the kind is offered.
    pub approval: Option<ApprovalSpec>,
}

impl ToolsSpec {
    /// What stands between the names of a server and its tool.
    pub const BETWEEN: &str = "__";

    /// The longest name of a server. Together with the name of a tool it has to
    /// fit into what providers take.
    pub const LONGEST_NAME: usize = 24;

    /// Whether a server may be called so. Without [`ToolsSpec::BETWEEN`] in the
    /// name and without a part of it at its end, no tool of one server can have
    /// the name of another one's.
    pub fn is_name(name: &str) -> bool {
        let plain = |letter: char| {
            letter.is_ascii_lowercase() || letter.is_ascii_digit() || "_-".contains(letter)
        };
        name.starts_with(|letter: char| letter.is_ascii_lowercase())
            && name.len() <= Self::LONGEST_NAME
            && name.chars().all(plain)
            && !name.contains(Self::BETWEEN)
            && !name.ends_with('_')
    }
}

/// A server of the Model Context Protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolServerSpec {
    /// Where it is.
    pub at: ToolServerAt,
    /// Globs (`*`, `?`) on the names of those of its tools that may be used.
    pub allow: Vec<String>,
    /// Which of these only read: they are called without asking, and again
    /// after a kill.
    pub read: Vec<String>,
    /// Which of these act without asking.
    pub act: Vec<String>,
    /// Which of these are asked about, whatever the other lists say.
    pub ask: Vec<String>,
    /// How long a call may take, from [`ToolServerSpec::SHORTEST_TIMEOUT`] to
    /// [`ToolServerSpec::LONGEST_TIMEOUT`].
    pub timeout: Duration,
}

/// Where a server is.
#[derive(Clone, PartialEq, Eq)]
pub enum ToolServerAt {
    /// A program that speaks on its standard input and output.
    Program {
        /// The program and its arguments, at least the program. No shell sees
        /// them.
        run: Vec<String>,
        /// Where it runs: absolute, or below the agent's folder.
        folder: PathBuf,
        /// Its variables.
        variables: Variables,
        /// What it may use up.
        limits: Limits,
    },
    /// An address, `http` or `https`.
    Url {
        /// The address. A part of it may be a secret.
        url: Secret<String>,
        /// What is sent along, by the names of the headers.
        headers: BTreeMap<String, Secret<String>>,
    },
}

impl fmt::Debug for ToolServerAt {
    /// Leaves out the arguments: a variable in them may be a secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Program { .. } => "Program",
            Self::Url { .. } => "Url",
        })
    }
}

/// What has to be before a tool is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolUse {
    /// Nothing: it only reads.
    Reads,
    /// Nothing, though it acts.
    Acts,
    /// Somebody agrees.
    Asks,
}

impl ToolServerSpec {
    /// The least time that a call gets.
    pub const SHORTEST_TIMEOUT: Duration = Duration::from_secs(1);

    /// The most time that a call gets.
    pub const LONGEST_TIMEOUT: Duration = Duration::from_secs(300);

    /// A server of whose tools none may be used yet.
    pub fn new(at: ToolServerAt) -> Self {
        Self {
            at,
            allow: Vec::new(),
            read: Vec::new(),
            act: Vec::new(),
            ask: Vec::new(),
            timeout: Duration::from_secs(30),
        }
    }

    /// What has to be before one of its tools is called; `None`: it may not be.
    /// What nothing is said about is asked about: what the server itself says of
    /// its tools is a claim of somebody else.
    pub fn tool_use(&self, tool: &str) -> Option<ToolUse> {
        let is_in = |globs: &[String]| globs.iter().any(|glob| WildMatch::new(glob).matches(tool));
        is_in(&self.allow).then(|| {
            if is_in(&self.ask) {
                ToolUse::Asks
            } else if is_in(&self.act) {
                ToolUse::Acts
            } else if is_in(&self.read) {
                ToolUse::Reads
            } else {
                ToolUse::Asks
            }
        })
    }
}

/// Who agrees to the call of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalSpec {
    /// Globs (`*`, `?`) on the ids of those who may. At least one.
    pub users: Vec<String>,
    /// How sure it has to be who they are.
    pub require: Requirement,
    /// How long they have for that.
    pub timeout: Duration,
}

impl ApprovalSpec {
    /// How long people have when nothing is said about it.
    pub const TIMEOUT: Duration = Duration::from_secs(300);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globs(globs: &[&str]) -> Vec<String> {
        globs.iter().map(ToString::to_string).collect()
    }

    fn server() -> ToolServerSpec {
        let at = ToolServerAt::Url { url: Secret::new(String::new()), headers: BTreeMap::new() };
        ToolServerSpec::new(at)
    }

    #[test]
    fn what_nothing_is_said_about_is_asked_about() {
        let server = ToolServerSpec { allow: globs(&["*"]), ..server() };
        assert_eq!(server.tool_use("look"), Some(ToolUse::Asks));
    }

    #[test]
    fn what_is_not_allowed_is_not_used_whatever_else_is_said() {
        let mut server = server();
        (server.read, server.act, server.ask) = (globs(&["*"]), globs(&["*"]), globs(&["*"]));
        assert_eq!(server.tool_use("look"), None);
    }

    #[test]
    fn of_what_is_said_twice_the_more_careful_counts() {
        let mut server = server();
        (server.allow, server.read) = (globs(&["*"]), globs(&["get_*"]));
        (server.act, server.ask) = (globs(&["get_out", "set_*"]), globs(&["set_fire"]));
        assert_eq!(server.tool_use("get_time"), Some(ToolUse::Reads));
        assert_eq!(server.tool_use("get_out"), Some(ToolUse::Acts));
        assert_eq!(server.tool_use("set_time"), Some(ToolUse::Acts));
        assert_eq!(server.tool_use("set_fire"), Some(ToolUse::Asks));
    }

    #[test]
    fn names_of_servers_leave_no_doubt_whose_a_tool_is() {
        for name in ["time", "a", "my-files_2"] {
            assert!(ToolsSpec::is_name(name), "{name}");
        }
        for name in ["", "_a", "a_", "a__b", "2", "Time", "a.b", "a b", &"a".repeat(25)] {
            assert!(!ToolsSpec::is_name(name), "{name}");
        }
    }

    #[test]
    fn arguments_and_addresses_are_not_printed() {
        let run = globs(&["serve", "hunter2"]);
        let (folder, variables) = (PathBuf::new(), Variables::default());
        let at = ToolServerAt::Program { run, folder, variables, limits: Limits::default() };
        assert!(!format!("{:?}", ToolServerSpec::new(at)).contains("hunter2"));
    }
}
