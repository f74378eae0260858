//! What a program that is started for an agent may have.

use std::{collections::BTreeMap, time::Duration};

use crate::secret::Secret;

/// The variables of the launcher that every child has too, if they are set:
/// where programs are, which language to speak, whose files are meant, which
/// time it is.
pub const INHERITED: [&str; 4] = ["PATH", "LANG", "HOME", "TZ"];

/// What a child may use up. Each process counts by itself, but for
/// `processes`, which counts all that the child has started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of private memory that a process may have.
    pub memory: u64,
    /// How many processes and threads there may be at once. A child with more
    /// is ended.
    pub processes: u32,
    /// How long a process may compute, in whole seconds; `None`: for ever.
    pub cpu: Option<Duration>,
    /// How many files a process may have open.
    pub open_files: u64,
}

impl Limits {
    /// The least memory: below it not even a shell starts.
    pub const LEAST_MEMORY: u64 = 4 * 1024 * 1024;

    /// The fewest open files: three are open when a program starts, and
    /// libraries are files too.
    pub const FEWEST_FILES: u64 = 16;

    /// The most processes: what is more than that is no limit.
    pub const MOST_PROCESSES: u32 = 4096;
}

impl Default for Limits {
    /// Enough for any ordinary program, and little enough that a broken one
    /// leaves the machine alive.
    fn default() -> Self {
        Self { memory: 1024 * 1024 * 1024, processes: 128, cpu: None, open_files: 1024 }
    }
}

/// The variables of a child.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables {
    /// Names of the launcher's variables that it has, beside [`INHERITED`].
    pub allow: Vec<String>,
    /// Variables of its own. They win.
    pub set: BTreeMap<String, Secret<String>>,
}

impl Variables {
    /// The names of what is handed on.
    pub fn inherited(&self) -> impl Iterator<Item = &str> {
        INHERITED.into_iter().chain(self.allow.iter().map(String::as_str))
    }
}
