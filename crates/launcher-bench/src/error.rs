//! Why nothing could be measured.

use std::{error::Error, io, path::PathBuf, process::ExitStatus, time::Duration};

use launcher_core::fault::Fault;
use launcher_testbed::TestbedError;

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// The homeserver, its setup or the person's client; also an answer that
    /// did not come.
    #[error(transparent)]
    Testbed(#[from] TestbedError),

    /// A file could not be used; which one, the source says.
    #[error("keeping the files of the benchmark")]
    Files { source: io::Error },

    /// Another benchmark uses the same files, and the same two cores.
    #[error("another benchmark is running")]
    Busy,

    /// One of the two programs was not built.
    #[error("there is no {}; `make bench` builds it", .path.display())]
    NotBuilt { path: PathBuf },

    /// A program could not be started.
    #[error("starting {}", .program.display())]
    Spawn { program: PathBuf, source: io::Error },

    /// A program ended although nobody asked it to.
    #[error("the program ended by itself with {status}; its log is {}", .log.display())]
    Ended { status: ExitStatus, log: PathBuf },

    /// Some of the bots did not log in.
    #[error("only {ready} of {agents} agents were ready within {waited:?}; the log is {}", .log.display())]
    NotReady { ready: usize, agents: usize, waited: Duration, log: PathBuf },

    /// A program did not stop when asked.
    #[error("the program was still running {waited:?} after it was asked to stop; its log is {}", .log.display())]
    StillRunning { waited: Duration, log: PathBuf },

    /// The system does not say what a process uses, or not in words that are
    /// known here.
    #[error("reading {what} of process {pid}")]
    Unreadable { what: &'static str, pid: u32 },

    /// The journal could not be filled.
    #[error("filling a journal: {fault}")]
    Journal { fault: Fault },

    /// The handles of a process kept coming and going.
    #[error("the process did not come to rest within {waited:?}")]
    Restless { waited: Duration },
}

impl BenchError {
    pub(crate) fn files(source: io::Error) -> Self {
        Self::Files { source }
    }
}

/// An error and its causes in one line, each cause once.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
