//! One agent as one encrypted file: what `launcher backup` writes and
//! `launcher restore` reads.
//!
//! [`write()`] puts an agent's files into an archive, sealed under a key that is
//! derived from its pickle key. [`open`] looks whether a key opens an archive,
//! and [`Archive::unpack`] makes a folder of it. Both work chunk by chunk, so
//! the memory they take does not grow with the files. What they make appears
//! under its final name only when it is complete.
//!
//! [`gather`] finds the files of a folder. Which folders belong to an agent, and
//! that nobody changes them meanwhile, is the caller's business.
//!
//! `docs/reference/archive.md` describes the format.

mod error;
mod gathering;
mod header;
mod names;
mod place;
mod reading;
mod stream;
#[cfg(test)]
mod tests;
mod writing;

pub use error::{ArchiveError, DamagedPart};
pub use gathering::gather;
pub use names::{MAX_FILES, MAX_NAME, NameProblem};
pub use reading::{Archive, agent_of, open};
pub use writing::{Entry, write, write_if_wanted};

/// What went into an archive, or came out of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many files.
    pub files: usize,
    /// How many bytes they have together.
    pub bytes: u64,
    /// The names of symbolic links that were left out. An archive holds none,
    /// so this is empty after unpacking.
    pub skipped_links: Vec<String>,
}
