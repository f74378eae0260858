//! Asks whoever sits at the terminal.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::Context;
use launcher_core::secret::Secret;
use tokio::sync::mpsc;

use crate::exit::Quit;

/// The longest secret that is read, in bytes.
const LONGEST: u64 = 4096;

/// Whether somebody can be asked.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal()
}

/// Asks for a yes; everything else is a no.
pub(crate) fn confirm(question: &str) -> anyhow::Result<bool> {
    let mut terminal = io::stderr().lock();
    write!(terminal, "{question} [y/N] ").and_then(|()| terminal.flush())?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(is_yes(&answer))
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

/// Shows a question; the answer is typed behind it. A closed standard error is
/// nobody's problem.
pub(crate) fn prompt(question: &str) {
    let mut terminal = io::stderr().lock();
    drop(write!(terminal, "{question}").and_then(|()| terminal.flush()));
}

/// A yes or a no in full; everything else is neither.
pub(crate) fn yes_or_no(answer: &str) -> Option<bool> {
    match answer.trim().to_ascii_lowercase().as_str() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

/// Lines that somebody types while other things happen.
#[derive(Debug)]
pub(crate) struct Lines {
    lines: Source,
}

#[derive(Debug)]
enum Source {
    /// Nobody has read from standard input yet.
    Unopened,
    /// A thread reads. It ends with the process: a read cannot be broken off.
    Read(mpsc::UnboundedReceiver<String>),
}

impl Lines {
    /// Those of standard input, which is not touched before the first is wanted.
    pub(crate) fn of_stdin() -> Self {
        Self { lines: Source::Unopened }
    }

    #[cfg(test)]
    pub(crate) fn of(lines: mpsc::UnboundedReceiver<String>) -> Self {
        Self { lines: Source::Read(lines) }
    }

    /// The next line; `None` at the end. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<String> {
        if let Source::Unopened = self.lines {
            // Unbounded, because the thread must not wait; nobody types that much.
            let (typed, lines) = mpsc::unbounded_channel();
            std::thread::spawn(move || {
                for line in io::stdin().lock().lines().map_while(Result::ok) {
                    if typed.send(line).is_err() {
                        break;
                    }
                }
            });
            self.lines = Source::Read(lines);
        }
        match &mut self.lines {
            Source::Unopened => None,
            Source::Read(lines) => lines.recv().await,
        }
    }
}

/// A secret from the terminal, which does not show it.
pub(crate) fn secret(prompt: &str) -> anyhow::Result<Secret<String>> {
    let typed = rpassword::prompt_password(prompt).context("reading from the terminal")?;
    not_empty(Secret::new(typed))
}

/// A secret from the first line of standard input.
pub(crate) fn secret_from_stdin() -> anyhow::Result<Secret<String>> {
    first_line(io::stdin().lock())
}

/// A secret from the terminal if there is one, else from standard input.
pub(crate) fn secret_from_anywhere(prompt: &str) -> anyhow::Result<Secret<String>> {
    if can_ask() { secret(prompt) } else { secret_from_stdin() }
}

fn first_line(input: impl BufRead) -> anyhow::Result<Secret<String>> {
    // One buffer that does not grow, so that no copy of it is left behind.
    let mut line = String::with_capacity(usize::try_from(LONGEST).unwrap_or_default() + 1);
    let read = input.take(LONGEST + 1).read_line(&mut line);
    let mut line = Secret::new(line);
    if read.context("reading from standard input")? as u64 > LONGEST {
        return Err(Quit::usage("what was given on standard input is too long").into());
    }
    let end = line.expose().trim_end_matches(['\r', '\n']).len();
    if end < line.expose().len() {
        line = Secret::new(line.expose().get(..end).unwrap_or_default().to_owned());
    }
    not_empty(line)
}

fn not_empty(secret: Secret<String>) -> anyhow::Result<Secret<String>> {
    match secret.expose().trim().is_empty() {
        true => Err(Quit::usage("nothing was given").into()),
        false => Ok(secret),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        assert!(["y\n", "Y", " yes \n", "YES\r\n"].iter().all(|answer| is_yes(answer)));
        assert!(!["", "\n", "n\n", "yep\n", "ja\n"].iter().any(|answer| is_yes(answer)));
    }

    #[test]
    fn yes_and_no_are_typed_in_full() {
        assert_eq!([" Yes\r\n", "no"].map(yes_or_no), [Some(true), Some(false)]);
        assert_eq!(["", "y", "n", "yes!", "nope"].map(yes_or_no), [None; 5]);
    }

    #[test]
    fn a_secret_is_the_first_line_without_its_end() {
        for (given, read) in
            [("pass word \n", "pass word "), ("a\r\nb\n", "a"), ("no end", "no end"), ("ä\n", "ä")]
        {
            assert_eq!(first_line(given.as_bytes()).unwrap().expose(), read);
        }
        let long = "x".repeat(5000);
        for nothing in ["", "\n", "  \n", long.as_str()] {
            let error = first_line(nothing.as_bytes()).unwrap_err();
            assert!(error.downcast_ref::<Quit>().is_some() && !error.to_string().contains("xx"));
        }
    }
}
