//! What can go wrong in the demo, in the words of whoever watches it.

use std::{error::Error, io, path::PathBuf, process::ExitStatus, time::Duration};

use launcher_testbed::TestbedError;

/// Why the demo ended before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// The homeserver, its setup or the person's client.
    #[error(transparent)]
    Testbed(#[from] TestbedError),

    /// A file could not be used; which one, the source says.
    #[error("keeping the files of the demo")]
    Files { source: io::Error },

    /// The system gave no random bytes.
    #[error("asking the system for random bytes")]
    Randomness { source: getrandom::Error },

    /// There is no such program.
    #[error("finding the launcher that LAUNCHER names")]
    NoLauncher { source: io::Error },

    /// The files belong to a demo that has not ended.
    #[error("another demo is running{}", .holder.map_or_else(String::new, |pid| format!(" (process {pid})")))]
    Busy { holder: Option<i32> },

    /// The launcher could not be started.
    #[error("starting the launcher")]
    Spawn { source: io::Error },

    /// The launcher ended although nobody asked it to.
    #[error("the launcher ended by itself with {status}; the end of {}:\n{tail}", .log.display())]
    LauncherEnded { status: ExitStatus, log: PathBuf, tail: String },

    /// The launcher has given an agent up until an operator acts.
    #[error("the agent {agent} is parked: {reason}; the whole log is {}", .log.display())]
    Parked { agent: String, reason: String, log: PathBuf },

    /// An agent did not become ready.
    #[error("the agent {agent} was not ready within {waited:?}; the end of {}:\n{tail}", .log.display())]
    NotReady { agent: String, waited: Duration, log: PathBuf, tail: String },

    /// Something that an agent should do was not done.
    #[error("{what} did not happen within {waited:?}; the end of {}:\n{tail}", .log.display())]
    DidNotHappen { what: String, waited: Duration, log: PathBuf, tail: String },

    /// A signal asked for the end.
    #[error("interrupted")]
    Interrupted,
}

impl DemoError {
    pub(crate) fn files(source: io::Error) -> Self {
        Self::Files { source }
    }

    /// What could be done about it, if that can be said.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Testbed(error) if error.code() == Some("M_FORBIDDEN") => Some(
                "the passwords and the homeserver may not belong together; `rm -r .cache/demo` starts over",
            ),
            Self::Testbed(TestbedError::NotServing { tail, .. })
                if tail.contains("Address already in use") =>
            {
                Some("another program took the port; try again")
            }
            Self::Parked { .. } => Some("`rm -r .cache/demo` starts over with new accounts"),
            Self::NoLauncher { .. } => {
                Some("`make demo` builds one; LAUNCHER=path/to/launcher names another")
            }
            Self::Busy { .. } => Some("end that one first; two would share its files"),
            _ => None,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_shown_with_its_causes() {
        let source = io::Error::other("open .cache/demo/.env: denied");
        let shown = chain(&DemoError::files(source));
        assert_eq!(shown, "keeping the files of the demo: open .cache/demo/.env: denied");
        let holder = Some(12);
        assert_eq!(chain(&DemoError::Busy { holder }), "another demo is running (process 12)");
    }
}
