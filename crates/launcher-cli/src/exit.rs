//! How the process ends.

use std::{io::Write, process::ExitCode};

/// The exit status. Wrong usage (2) is clap's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything was done.
    Done,
    /// Something was not done.
    Failed,
    /// The arguments name something that is not there.
    Usage,
    /// A file is not valid (`EX_CONFIG`).
    BadConfig,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::BadConfig => 78,
        })
    }
}

/// Prints an error and its causes to standard error, each cause once.
pub(crate) fn say_error(error: &anyhow::Error) {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if !text.ends_with(&cause) {
            text = if text.is_empty() { cause } else { format!("{text}: {cause}") };
        }
    }
    say(&format!("error: {text}"));
}

/// Prints a line to standard error. A closed one is nobody's problem.
pub(crate) fn say(line: &str) {
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}

/// Prints text to standard output; a closed pipe means that the reader has seen enough.
pub(crate) fn print(text: &str) {
    drop(write!(std::io::stdout().lock(), "{text}"));
}
