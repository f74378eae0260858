//! Measures what an agent costs: the launcher against a plain program.
//!
//! Both programs run the same number of echo bots against the same homeserver,
//! one after the other, with fresh accounts. One person has an encrypted
//! direct chat with every bot and is answered in each, then everybody falls
//! silent. What the process holds then, with few bots and with many, gives the
//! cost of one more bot; what the first few cost is left out by that.
//!
//! The plain program is `plain-bot`, built as the SDK's own examples are. The
//! launcher is a program of its own here: this one knows its files and its
//! log, and of its inside only how to fill a journal.
//!
//! Reading order: [`trial`] (what is done and measured), [`report`] (what
//! follows from it), [`program`] (how the two are run), and the rest.

mod bound;
mod error;
mod folder;
mod full_journal;
mod program;
mod progress;
mod report;
mod stage;
mod trial;
mod usage;

use std::{env, process::ExitCode};

use crate::{
    error::BenchError,
    folder::Folder,
    full_journal::Starts,
    program::{Binaries, Program},
    progress::say,
    report::Report,
    stage::Stage,
    trial::{Effort, Trial},
};

const USAGE: &str = "\
Measures what an idle agent and an answered message cost, launcher against a
plain program on matrix-sdk.

Usage: bench [FEW MANY]

  FEW MANY  the two numbers of agents to measure with; 10 and 50 without them

Exits 1 if an idle agent of the launcher costs more than 0.7 of what it costs
in the plain program, or the whole process with MANY of them does, or if an
agent with a full journal takes twice as long to start as one with an empty one;
2 if nothing could be measured.";

/// The numbers of agents: far enough apart that what differs from run to run
/// is small against what the agents between them cost.
const AGENTS: [usize; 2] = [10, 50];

/// The exit status when nothing could be measured; 1 is a bad result.
const NOT_MEASURED: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let agents = match words.as_slice() {
        [bound::FLAG, rest @ ..] => return bound::become_program(rest),
        [] => Some(AGENTS),
        ["--help" | "-h"] => {
            say(USAGE);
            return ExitCode::SUCCESS;
        }
        [few, many] => few.parse().ok().zip(many.parse().ok()).map(|(few, many)| [few, many]),
        _ => None,
    };
    let Some([few, many]) = agents.filter(|[few, many]| 0 < *few && few < many) else {
        progress::complain(USAGE);
        return ExitCode::from(NOT_MEASURED);
    };
    match measure(few, many) {
        Ok(report) if report.is_good() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            progress::complain(&format!("bench: {}", error::chain(&error)));
            ExitCode::from(NOT_MEASURED)
        }
    }
}

/// Measures both programs with both numbers of agents, and prints the result.
fn measure(few: usize, many: usize) -> Result<Report, BenchError> {
    let binaries = Binaries::find()?;
    let folder = Folder::open()?;
    let stage = Stage::set_up(&folder)?;
    let trial =
        |program, agents, effort| Trial { program, agents, effort }.run(&stage, &folder, &binaries);
    let report = Report {
        plain_few: trial(Program::Plain, few, Effort::Idle)?,
        launcher_few: trial(Program::Launcher, few, Effort::Idle)?,
        plain_many: trial(Program::Plain, many, Effort::Conversation)?,
        launcher_many: trial(Program::Launcher, many, Effort::Conversation)?,
        starts: Starts::measure(&stage, &folder, &binaries)?,
    };
    drop(stage);
    folder.clear()?;
    say(format!("\n{report}"));
    Ok(report)
}
