//! Shows the launcher at work: a real homeserver, two agents, and a person.
//!
//! In a terminal it ends in a chat with an agent. Without one it holds a short
//! conversation, prints what was said and how it was protected, and exits 0
//! only if every message was answered, encrypted and readable.
//!
//! The launcher is a program of its own here, as an operator runs it: this
//! one knows its files, its log and its commands, and nothing from inside.
//! Whatever is started ends with this process, also if this process is killed.

mod actors;
mod chat;
mod error;
mod folder;
mod launcher;
mod log;
mod memory;
mod parentage;
mod progress;
mod scene;
mod script;
mod secrets;
mod signals;
mod transcript;

use std::{
    env,
    io::{self, IsTerminal},
    path::PathBuf,
    process::ExitCode,
};

use launcher_testbed::testbed_root;

use crate::{
    error::DemoError,
    progress::{complain, say},
    scene::Scene,
    script::Outcome,
    signals::Interruption,
};

const USAGE: &str = "\
Runs the launcher with two sample agents against a homeserver of its own.

Usage: LAUNCHER=path/to/launcher demo [--scripted]

  --scripted  a short conversation that is checked, also in a terminal; this
              is what happens without a terminal, too

Everything it makes is in .cache/demo; delete that to start over.";

/// What to do once everything runs.
#[derive(Clone, Copy)]
enum Mode {
    Chat,
    Script,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mode = match words.as_slice() {
        [parentage::FLAG, rest @ ..] => return parentage::become_program(rest),
        [] if io::stdin().is_terminal() && io::stdout().is_terminal() => Mode::Chat,
        [] | ["--scripted"] => Mode::Script,
        ["--help" | "-h"] => {
            say(USAGE);
            return ExitCode::SUCCESS;
        }
        _ => {
            complain(USAGE);
            return ExitCode::from(2);
        }
    };
    let interruption = match Interruption::listen() {
        Ok(interruption) => interruption,
        Err(error) => return fail(&DemoError::files(error)),
    };
    match run(mode, &interruption) {
        Ok(Outcome::Good) => ExitCode::SUCCESS,
        Ok(Outcome::Bad) => ExitCode::FAILURE,
        Err(DemoError::Interrupted) => interruption.exit_code(),
        Err(error) => fail(&error),
    }
}

fn run(mode: Mode, interruption: &Interruption) -> Result<Outcome, DemoError> {
    let mut scene = Scene::set_up(launcher_binary()?, interruption)?;
    match mode {
        Mode::Chat => chat::hold(&mut scene),
        Mode::Script => script::play(&mut scene),
    }
}

/// The launcher to show.
fn launcher_binary() -> Result<PathBuf, DemoError> {
    let named = env::var_os("LAUNCHER").filter(|name| !name.is_empty());
    let path = named.map_or_else(|| testbed_root().join("bin/launcher"), PathBuf::from);
    fs_err::canonicalize(&path).map_err(|source| DemoError::NoLauncher { source })
}

fn fail(error: &DemoError) -> ExitCode {
    complain(format!("demo: {}", error::chain(error)));
    if let Some(hint) = error.hint() {
        complain(format!("hint: {hint}"));
    }
    ExitCode::FAILURE
}
