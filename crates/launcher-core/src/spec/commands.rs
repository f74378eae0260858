//! What the behavior `commands` runs.

use std::{fmt, time::Duration};

use super::Requirement;

/// One program and who may run it.
#[derive(Clone, PartialEq, Eq)]
pub struct CommandSpec {
    /// The program and its arguments, at least the program. No shell sees them.
    pub run: Vec<String>,
    /// Globs (`*`, `?`) on user ids; one must match the sender's whole id.
    pub users: Vec<String>,
    /// How sure it has to be who the sender is.
    pub require: Requirement,
    /// How long it may take before it is killed; 1 s to
    /// [`CommandSpec::LONGEST_TIMEOUT`].
    pub timeout: Duration,
}

impl CommandSpec {
    /// The least time that a command gets.
    pub const SHORTEST_TIMEOUT: Duration = Duration::from_secs(1);

    /// The most time that a command gets. Shorter than what the runtime gives a
    /// behavior for one message: a command that is cut off there would count
    /// as one whose outcome nobody knows.
    pub const LONGEST_TIMEOUT: Duration = Duration::from_secs(120);
}

impl fmt::Debug for CommandSpec {
    /// Leaves out the arguments: a variable in them may be a secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CommandSpec")
            .field("users", &self.users)
            .field("require", &self.require)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
