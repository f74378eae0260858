//! A program that decides what is said, in any language.

use std::{fmt, path::PathBuf, time::Duration};

use crate::children::{Limits, Variables};

/// The program of the behavior `process`.
#[derive(Clone, PartialEq, Eq)]
pub struct ProcessSpec {
    /// The program and its arguments, at least the program. No shell sees them.
    pub run: Vec<String>,
    /// Where it runs: absolute, or below the agent's folder.
    pub folder: PathBuf,
    /// Its variables.
    pub variables: Variables,
    /// What it may use up.
    pub limits: Limits,
    /// How long it may take for one event, from [`ProcessSpec::SHORTEST_TIMEOUT`]
    /// to [`ProcessSpec::LONGEST_TIMEOUT`]. Then it is started anew.
    pub timeout: Duration,
    /// How many events it may have in hand at once, at least one. Of one room
    /// it has never more than one.
    pub at_once: u32,
}

impl ProcessSpec {
    /// The least time that an event gets.
    pub const SHORTEST_TIMEOUT: Duration = Duration::from_secs(1);

    /// The most time that an event gets; see
    /// [`CommandSpec::LONGEST_TIMEOUT`](super::CommandSpec::LONGEST_TIMEOUT).
    pub const LONGEST_TIMEOUT: Duration = Duration::from_secs(120);

    /// A program with what holds when nothing is said about it.
    pub fn running(run: Vec<String>) -> Self {
        Self {
            run,
            folder: PathBuf::new(),
            variables: Variables::default(),
            limits: Limits::default(),
            timeout: Duration::from_secs(60),
            at_once: 4,
        }
    }
}

impl fmt::Debug for ProcessSpec {
    /// Leaves out the arguments: a variable in them may be a secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ProcessSpec")
            .field("timeout", &self.timeout)
            .field("at_once", &self.at_once)
            .finish_non_exhaustive()
    }
}
