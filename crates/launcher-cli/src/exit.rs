//! How the process ends.

use std::{fmt, io::Write, process::ExitCode};

use launcher_control::wire::Refusal;

use crate::table::harmless;

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

/// An error with an exit status of its own.
#[derive(Debug)]
pub(crate) struct Quit {
    pub(crate) exit: Exit,
    pub(crate) text: String,
}

impl Quit {
    /// Wrong usage.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, text: text.into() }
    }
}

impl fmt::Display for Quit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl std::error::Error for Quit {}

/// The exit status that an error leads to.
pub(crate) fn of_error(error: &anyhow::Error) -> Exit {
    error.downcast_ref::<Quit>().map_or(Exit::Failed, |quit| quit.exit)
}

/// Prints an error and its causes to standard error, each cause once, and what helps.
pub(crate) fn say_error(error: &anyhow::Error) {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if !text.ends_with(&cause) {
            text = if text.is_empty() { cause } else { format!("{text}: {cause}") };
        }
    }
    // A server may have written a part of it.
    say(&harmless_lines(&format!("error: {text}")));
    let refusal = error.chain().find_map(|cause| cause.downcast_ref::<Refusal>());
    if let Some(action) = refusal.and_then(|refusal| refusal.action.as_deref()) {
        say(&harmless_lines(&format!("do: {action}")));
    }
}

fn harmless_lines(text: &str) -> String {
    text.lines().map(harmless).collect::<Vec<_>>().join("\n")
}

/// Prints a line to standard error. A closed one is nobody's problem.
pub(crate) fn say(line: &str) {
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}

/// Prints text to standard output; a closed pipe means that the reader has seen enough.
pub(crate) fn print(text: &str) {
    drop(write!(std::io::stdout().lock(), "{text}"));
}
