//! Why an archive could not be written, opened or unpacked.

use std::{fmt, io, path::PathBuf};

use crate::{
    header::VERSION,
    names::{MAX_FILES, NameProblem},
};

/// Why an archive could not be written, opened or unpacked. What was there
/// before is as it was, and nothing is left of the attempt; one case of
/// [`ArchiveError::Io`] is different.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The first chunk does not open. A wrong key and damage in this chunk, or
    /// in the random part of the header, look the same.
    #[error(
        "the pickle key does not open {}, or the beginning of the file is damaged, which looks the \
         same: use the pickle key that the agent had when the archive was written",
        file.display()
    )]
    KeyWrong {
        /// The archive.
        file: PathBuf,
    },

    /// The archive was cut off or changed, or its parts were moved.
    #[error("{} is damaged {part}: use another copy of it", file.display())]
    Damaged {
        /// The archive.
        file: PathBuf,
        /// Where.
        part: DamagedPart,
    },

    /// The file does not begin as archives do.
    #[error("{} is not an archive of an agent: choose another file", file.display())]
    NotAnArchive {
        /// The file.
        file: PathBuf,
    },

    /// A newer launcher wrote it.
    #[error(
        "{} has format {version}, and this launcher knows {VERSION} only: use a newer launcher",
        file.display()
    )]
    NewerVersion {
        /// The archive.
        file: PathBuf,
        /// The version of its format.
        version: u8,
    },

    /// Something has the name already. It is not overwritten.
    #[error("{} exists: choose another place, or move it away", path.display())]
    Exists {
        /// What exists.
        path: PathBuf,
    },

    /// A file cannot have this name in an archive.
    #[error("{}: the name {name:?} {problem}", file.display())]
    BadName {
        /// The archive.
        file: PathBuf,
        /// The name, as far as it is text.
        name: String,
        /// What is wrong about it.
        problem: NameProblem,
    },

    /// A folder has more in it than was wanted.
    #[error(
        "{} has more than {MAX_FILES} files or {most} bytes in it: remove what does not belong to \
         the agent, or let the name of its folder begin with a dot",
        folder.display()
    )]
    TooMuch {
        /// The folder.
        folder: PathBuf,
        /// How many bytes it may have.
        most: u64,
    },

    /// Only files can be in an archive.
    #[error("{} is neither a file nor a symbolic link: leave it out", path.display())]
    NotAFile {
        /// What was to be put into the archive.
        path: PathBuf,
    },

    /// A source was not the same at its end as at its beginning.
    #[error("{} changed while it was read: stop whatever writes to it", path.display())]
    Changed {
        /// The source.
        path: PathBuf,
    },

    /// Whoever wanted the archive does not any more.
    #[error("{} was not written: it is not wanted any more", path.display())]
    Unwanted {
        /// What was to be written.
        path: PathBuf,
    },

    /// The file system refused something. The message names the file.
    ///
    /// If that is the folder of what was made, and nothing but its last sync
    /// did not work, what was made is there and complete, but may not survive
    /// a power cut.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Which part of an archive is damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DamagedPart {
    /// What stands before the first chunk.
    Header,
    /// A chunk of what is sealed, or what should follow it.
    Chunk {
        /// The position of its first byte in the file.
        offset: u64,
    },
    /// It opens, but is not what a launcher writes.
    Content {
        /// What is wrong.
        detail: String,
    },
}

impl fmt::Display for DamagedPart {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => formatter.write_str("in its header"),
            Self::Chunk { offset } => write!(formatter, "in the chunk at byte {offset}"),
            Self::Content { detail } => write!(formatter, "inside ({detail})"),
        }
    }
}
