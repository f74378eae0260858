//! What can go wrong between a test and the programs it runs on.

use std::{path::PathBuf, time::Duration};

/// Why the testbed could not do what a test asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestbedError {
    /// The setup ended with a failure; what it printed says why.
    #[error("{} ended with {status}; what it printed above says why", .script.display())]
    Setup {
        /// The script that was run.
        script: PathBuf,
        /// How it ended.
        status: std::process::ExitStatus,
    },

    /// A program could not be started at all.
    #[error("running {}; is it there and executable?", .program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// A program of the homeserver was run and did not do what it is for.
    #[error("{} ended with {status}: {said}", .program.display())]
    Tool {
        /// The program.
        program: PathBuf,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it printed.
        said: String,
    },

    /// A file or directory of the testbed could not be used.
    #[error("keeping the files of the testbed")]
    Files {
        /// Which one, and what the system said.
        source: std::io::Error,
    },

    /// The system gave no free port on the loopback address.
    #[error("finding a free port on the loopback address")]
    Port {
        /// What the system said.
        source: std::io::Error,
    },

    /// A folder could not be given a disk of its own.
    #[error("mounting a small disk on {}, which the system may forbid: {tail}", .folder.display())]
    NoSmallDisk {
        /// The folder that it was to be on.
        folder: PathBuf,
        /// What the system's tools said.
        tail: String,
    },

    /// Synapse ended, or gave no answer in time.
    #[error("Synapse on {base_url} {what}; the end of {}:\n{tail}", .log.display())]
    NotServing {
        /// Where it should have answered.
        base_url: String,
        /// What it did instead.
        what: String,
        /// Where it logs to.
        log: PathBuf,
        /// The last lines of that file.
        tail: String,
    },

    /// The directory belongs to a homeserver with another name, and a name
    /// cannot be changed: it is part of every user and room in there.
    #[error("{} holds the homeserver {found}, not {wanted}; delete it or ask for {found}", .directory.display())]
    OtherServer {
        /// The directory that was asked for.
        directory: PathBuf,
        /// The name that was asked for.
        wanted: String,
        /// The name it has.
        found: String,
    },

    /// A request got no answer.
    #[error("no answer to {method} {url}; is the homeserver running?")]
    NoAnswer {
        /// The verb.
        method: String,
        /// The whole address.
        url: String,
        /// What went wrong on the way.
        source: Box<ureq::Error>,
    },

    /// The homeserver refused a request that should have succeeded.
    #[error("{method} {path} was answered with {status}: {answer}")]
    Refused {
        /// The verb.
        method: String,
        /// The path on the homeserver.
        path: String,
        /// The HTTP status.
        status: u16,
        /// What it answered.
        answer: Box<serde_json::Value>,
    },

    /// Something was answered that makes no sense here.
    #[error("the answer to {asked} is not what was expected: {answer}")]
    Unexpected {
        /// What was asked.
        asked: String,
        /// What was answered.
        answer: serde_json::Value,
    },

    /// A user waited for something that did not come to be.
    #[error("{user}: {message}")]
    TimedOut {
        /// The user that waited.
        user: String,
        /// What was awaited, for how long, and what was last seen.
        message: String,
    },

    /// matrix-js-sdk, or the homeserver behind it, refused to do something.
    #[error("{method} of {user}: {message}")]
    Js {
        /// The user that was asked.
        user: String,
        /// What it was asked for.
        method: String,
        /// What was said.
        message: String,
        /// The Matrix error code (`M_FORBIDDEN`), if there was one.
        code: Option<String>,
    },

    /// The JavaScript engine gave no answer at all.
    #[error("no answer from the JavaScript engine to {method} of {user} within {waited:?}; its log is {}", .log.display())]
    EngineSilent {
        /// The user that was asked.
        user: String,
        /// What it was asked for.
        method: String,
        /// How long the answer was awaited.
        waited: Duration,
        /// Where the engine logs to.
        log: PathBuf,
    },

    /// The JavaScript engine is not running anymore.
    #[error("the JavaScript engine ended before it answered {method} of {user}; the end of {}:\n{tail}", .log.display())]
    EngineGone {
        /// The user that was asked.
        user: String,
        /// What it was asked for.
        method: String,
        /// Where the engine logged to.
        log: PathBuf,
        /// The last lines of that file.
        tail: String,
    },
}

impl TestbedError {
    /// The Matrix error code (`M_FORBIDDEN`) behind this, if there was one.
    pub fn code(&self) -> Option<&str> {
        if let Self::Js { code, .. } = self {
            return code.as_deref();
        }
        let Self::Refused { answer, .. } = self else {
            return None;
        };
        answer["errcode"].as_str()
    }

    /// Whether something was awaited and did not come to be.
    ///
    /// A test that asserts an absence must tell this from a broken testbed.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::TimedOut { .. })
    }

    pub(crate) fn files(source: std::io::Error) -> Self {
        Self::Files { source }
    }
}
