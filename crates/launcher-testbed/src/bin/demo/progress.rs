//! One line for each step: what it does, and how long that took.

use std::{
    io::{self, Write},
    time::Instant,
};

use crate::error::DemoError;

/// Where the times stand.
const WIDTH: usize = 52;

/// Prints a line. A closed output is nobody's problem.
pub(crate) fn say(line: impl AsRef<str>) {
    drop(writeln!(io::stdout().lock(), "{}", line.as_ref()));
}

/// Prints a line to standard error.
pub(crate) fn complain(line: impl AsRef<str>) {
    drop(writeln!(io::stderr().lock(), "{}", line.as_ref()));
}

/// Does a step with a line about it.
pub(crate) fn step<T>(
    what: &str,
    work: impl FnOnce() -> Result<T, DemoError>,
) -> Result<T, DemoError> {
    let dots = ".".repeat(WIDTH.saturating_sub(what.chars().count()).max(2));
    show(&format!("  {what} {dots} "));
    let started = Instant::now();
    let outcome = work();
    let seconds = started.elapsed().as_secs_f64();
    match &outcome {
        Ok(_) => say(format!("{seconds:.1} s")),
        Err(DemoError::Interrupted) => say("interrupted"),
        Err(_) => say(format!("failed after {seconds:.1} s")),
    }
    outcome
}

/// Prints without ending the line.
pub(crate) fn show(text: &str) {
    let mut stdout = io::stdout().lock();
    drop(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()));
}
