//! One line for each step, with how long it took.

use std::{
    io::{self, Write},
    time::Instant,
};

use crate::error::BenchError;

/// Where the times stand.
const WIDTH: usize = 60;

/// Prints a line. A closed output is nobody's problem.
pub(crate) fn say(line: impl AsRef<str>) {
    drop(writeln!(io::stdout().lock(), "{}", line.as_ref()));
}

/// Prints a line about something that went wrong.
pub(crate) fn complain(line: &str) {
    drop(writeln!(io::stderr().lock(), "{line}"));
}

/// Does a step with a line about it.
pub(crate) fn step<T>(
    what: &str,
    work: impl FnOnce() -> Result<T, BenchError>,
) -> Result<T, BenchError> {
    let dots = ".".repeat(WIDTH.saturating_sub(what.chars().count()).max(2));
    let mut stdout = io::stdout().lock();
    drop(write!(stdout, "  {what} {dots} ").and_then(|()| stdout.flush()));
    drop(stdout);
    let started = Instant::now();
    let outcome = work();
    let word = if outcome.is_ok() { "" } else { "failed after " };
    say(format!("{word}{:.1} s", started.elapsed().as_secs_f64()));
    outcome
}
