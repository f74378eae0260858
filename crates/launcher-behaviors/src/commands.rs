//! Runs programs that the operator has given names to.
//!
//! Which program, for whom and how sure that has to be is decided in
//! [`launcher_core::commands`]. Here it is run, once: if the launcher was cut
//! off while a command was running, nobody knows how far it came, and the
//! sender is told so instead of running it again.
//!
//! What a command writes goes to the room and never to the log.

mod output;
mod process;

use std::{collections::BTreeMap, path::PathBuf};

use async_trait::async_trait;
use launcher_core::{
    commands::{Decision, decide, words},
    conversation::Message,
    help::Word,
    spec::CommandSpec,
};
use launcher_runtime::ports::{Behavior, BehaviorFault, Response, Stage};
use tracing::{info, warn};

use self::process::{Ending, Finished};

/// Answers a message that names a command with what the command wrote.
#[derive(Debug)]
pub struct Commands {
    commands: BTreeMap<String, CommandSpec>,
    folder: PathBuf,
}

impl Commands {
    /// Runs `commands` in `folder`, which is absolute.
    pub fn new(commands: BTreeMap<String, CommandSpec>, folder: PathBuf) -> Self {
        Self { commands, folder }
    }

    async fn run(&self, name: &str, command: &CommandSpec, message: &Message) -> String {
        let (room, event_id, sender) = (&message.room, &message.event, &message.sender);
        match process::run(command, &self.folder).await {
            Ok(finished) => {
                let (status, took) = (finished.ending.to_string(), finished.took);
                info!(event = "command_run", command = name, %sender, status, ?took, %room, %event_id, "a command was run");
                answer(command, &finished)
            }
            Err(error) => {
                warn!(event = "command_not_started", command = name, %sender, %error, %room, %event_id, "a command could not be started");
                format!("`{name}` could not be started: {error}. My operator has to look at it.")
            }
        }
    }
}

#[async_trait]
impl Behavior for Commands {
    async fn on_message(
        &self,
        message: &Message,
        stage: &dyn Stage,
    ) -> Result<Option<Response>, BehaviorFault> {
        let attempt = stage.attempt();
        let (room, event_id, sender) = (&message.room, &message.event, &message.sender);
        let text = match decide(&self.commands, message) {
            Decision::NotForUs => return Ok(None),
            Decision::Refused { name, reason, text } => {
                info!(event = "command_refused", command = name, %sender, reason = reason.code(), %room, %event_id, "a command was not run: {reason}");
                text
            }
            Decision::Run { name, .. } if attempt > 1 => {
                warn!(event = "command_interrupted", command = name, %sender, attempt, %room, %event_id, "the launcher ended while a command was running; not run again");
                interrupted(name)
            }
            Decision::Run { name, command } => self.run(name, command, message).await,
        };
        Ok(Some(Response::say(text)))
    }

    fn commands(&self, message: Option<&Message>) -> Vec<Word> {
        words(&self.commands, message)
    }
}

fn interrupted(name: &str) -> String {
    format!(
        "I was interrupted while `{name}` ran, so I do not know what became of it, and I have not \
         run it again. Please look before you send it again."
    )
}

/// What a command wrote, as a block, and how it ended unless it ended well.
fn answer(command: &CommandSpec, finished: &Finished) -> String {
    let shown = finished.output.shown();
    let mut lines = Vec::new();
    if shown.text.is_empty() {
        lines.push("no output".to_owned());
    } else {
        let fence = fence(&shown.text);
        lines.push(format!("{fence}\n{}\n{fence}", shown.text));
    }
    if shown.cut {
        lines.push("there was more output than can be shown".to_owned());
    }
    match finished.ending {
        Ending::Exited(0) => {}
        Ending::Exited(_) | Ending::Signaled(_) => lines.push(finished.ending.to_string()),
        Ending::TimedOut => {
            let limit = command.timeout.as_secs_f64();
            lines.push(format!("timed out after {limit} s and was ended"));
        }
    }
    lines.join("\n")
}

/// Backticks that are not in the text: the block ends where it should.
fn fence(text: &str) -> String {
    let (mut longest, mut run) = (0, 0);
    for letter in text.chars() {
        run = if letter == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    "`".repeat(3.max(longest + 1))
}

#[cfg(test)]
mod tests;
