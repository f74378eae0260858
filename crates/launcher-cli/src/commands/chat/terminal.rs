//! Where lines are typed and shown.
//!
//! At a terminal the line that is being typed stays below what is shown. Where
//! there is none, lines come from standard input as they are.

use std::{
    io::IsTerminal,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;
use rustyline::{DefaultEditor, ExternalPrinter};
use tokio::sync::mpsc;

use crate::{ask::Lines, exit};

/// What stands before a line; behind the name of the room, if one is open.
pub(super) const PROMPT: &str = "> ";

/// What is typed, and what is shown.
pub(crate) struct Terminal {
    typed: Source,
    printer: Option<Box<dyn ExternalPrinter + Send>>,
}

enum Source {
    Plain(Lines),
    Edited {
        lines: mpsc::UnboundedReceiver<String>,
        /// Has the next line be typed, behind this prompt.
        wanted: std::sync::mpsc::Sender<()>,
        prompt: Arc<Mutex<String>>,
        is_wanted: bool,
    },
}

impl Terminal {
    /// The one that the process was started at.
    pub(crate) fn open() -> anyhow::Result<Self> {
        if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
            return Ok(Self { typed: Source::Plain(Lines::of_stdin()), printer: None });
        }
        let mut editor = DefaultEditor::new().context("setting up the prompt")?;
        let printer = editor.create_external_printer().context("setting up the prompt")?;
        let prompt = Arc::new(Mutex::new(PROMPT.to_owned()));
        let (typed, lines) = mpsc::unbounded_channel();
        let (wanted, next) = std::sync::mpsc::channel();
        let shown = prompt.clone();
        // A read cannot be broken off. It is begun only when a line is wanted, so
        // that the terminal is as it was when the process ends.
        std::thread::spawn(move || {
            while next.recv().is_ok() {
                let prompt = shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
                // Ctrl-C, Ctrl-D and a terminal that is gone are the end.
                let Ok(line) = editor.readline(&prompt) else { return };
                // Nothing is kept of what was said: the history lives as long as the process.
                drop(editor.add_history_entry(&line));
                if typed.send(line).is_err() {
                    return;
                }
            }
        });
        let typed = Source::Edited { lines, wanted, prompt, is_wanted: false };
        Ok(Self { typed, printer: Some(Box::new(printer)) })
    }

    /// Whether somebody sits there.
    pub(crate) fn is_interactive(&self) -> bool {
        self.printer.is_some()
    }

    /// What stands before the line that is typed next.
    pub(crate) fn set_prompt(&mut self, text: &str) {
        if let Source::Edited { prompt, .. } = &self.typed {
            text.clone_into(&mut prompt.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// The next line; `None` at the end. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<String> {
        match &mut self.typed {
            Source::Plain(lines) => lines.next().await,
            Source::Edited { lines, wanted, is_wanted, .. } => {
                if !*is_wanted {
                    wanted.send(()).ok()?;
                    *is_wanted = true;
                }
                let line = lines.recv().await;
                *is_wanted = false;
                line
            }
        }
    }

    /// Waits until nobody is typing, so that the terminal is as it was.
    pub(crate) async fn finish(mut self) {
        if let Source::Edited { lines, is_wanted: true, .. } = &mut self.typed {
            exit::say("press Enter");
            lines.recv().await;
        }
    }

    /// Shows text, which ends with a line break.
    pub(crate) fn show(&mut self, text: &str) {
        match &mut self.printer {
            Some(printer) => drop(printer.print(text.to_owned())),
            None => exit::print(text),
        }
    }
}
