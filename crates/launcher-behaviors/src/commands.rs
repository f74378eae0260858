//! Runs programs that the operator has given names to.
//!
//! Which program, for whom, with what of the message, and how sure it has to be
//! who that is, is decided in [`launcher_core::commands`]. Here it is run, once:
//! that it starts is noted before it does, so if the launcher was cut off after
//! that, nobody knows how far it came, and the sender is told so. One that
//! waited for a confirmation or for its turn is run then.
//!
//! What a command writes goes to the room and never to the log.

mod answer;
mod output;
mod running;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use async_trait::async_trait;
use launcher_core::{
    commands::{self, Decision, call::Call, decide},
    conversation::{Message, MessageKind},
    help::Word,
    spec::{CommandSpec, Confirmation},
};
use launcher_runtime::ports::{Answered, Behavior, BehaviorFault, Question, Response, Stage};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};
use tracing::{info, warn};

/// How long a command waits while others of its name run.
const TURN: Duration = Duration::from_secs(30);

/// How long somebody has to confirm.
const CONFIRMATION: Duration = Duration::from_secs(600);

/// What is noted about a message whose command has been started.
const STARTED: &[u8] = b"started";

/// Answers a message that names a command with what the command wrote.
#[derive(Debug)]
pub struct Commands {
    commands: BTreeMap<String, CommandSpec>,
    /// Places for those of a name that run at the same time.
    places: BTreeMap<String, Semaphore>,
    folder: PathBuf,
}

impl Commands {
    /// Runs `commands` in `folder` or below it; it is absolute.
    pub fn new(commands: BTreeMap<String, CommandSpec>, folder: PathBuf) -> Self {
        let places = |command: &CommandSpec| {
            Semaphore::new(usize::try_from(command.at_once).unwrap_or(1).max(1))
        };
        let places =
            commands.iter().map(|(name, command)| (name.clone(), places(command))).collect();
        Self { commands, places, folder }
    }

    async fn call(
        &self,
        name: &str,
        command: &CommandSpec,
        call: Call,
        message: &Message,
        stage: &dyn Stage,
    ) -> Result<Response, BehaviorFault> {
        let (room, event_id, sender) = (&message.room, &message.event, &message.sender);
        if stage.noted().is_some() {
            warn!(event = "command_interrupted", command = name, %sender, attempt = stage.attempt(), %room, %event_id, "the launcher ended while a command was running; not run again");
            return Ok(Response::say(interrupted(name)));
        }
        if let Some(confirm) = &command.confirm
            && let Some(question) = question(name, command, confirm, &call, message)
        {
            let refused = match stage.ask(question).await? {
                Answered::Yes(by) => {
                    info!(event = "command_confirmed", command = name, %sender, %by, %room, %event_id, "a command was confirmed");
                    None
                }
                Answered::No(by) => Some(format!("`{name}` was not run: `{by}` said no.")),
                Answered::Expired => Some(format!("`{name}` was not run: nobody agreed in time.")),
            };
            if let Some(text) = refused {
                info!(event = "command_refused", command = name, %sender, reason = "not_confirmed", %room, %event_id, "a command was not run: nobody agreed to it");
                return Ok(Response::say(text));
            }
        }
        let Some(_place) = self.place(name).await else {
            info!(event = "command_refused", command = name, %sender, reason = "busy", %room, %event_id, "a command was not run: it is running already");
            let text =
                format!("`{name}` was not run: it is running already. Please try again later.");
            return Ok(Response::say(text));
        };
        stage.note(STARTED.to_vec()).await?;
        match running::run(command, &call, &self.folder.join(&command.folder)).await {
            Ok(finished) => {
                let (status, took) = (finished.ending.to_string(), finished.took);
                info!(event = "command_run", command = name, %sender, status, ?took, %room, %event_id, "a command was run");
                Ok(answer::answer(name, command, &finished))
            }
            Err(error) => {
                warn!(event = "command_not_started", command = name, %sender, %error, %room, %event_id, "a command could not be started");
                let text = format!(
                    "`{name}` could not be started: {error}. My operator has to look at it."
                );
                Ok(Response::say(text))
            }
        }
    }

    /// A place to run, when there is one in time.
    async fn place(&self, name: &str) -> Option<SemaphorePermit<'_>> {
        let places = self.places.get(name)?;
        timeout(TURN, places.acquire()).await.ok()?.ok()
    }
}

/// What is asked before a command runs; `None` if there is nobody to be asked,
/// as the agent's operator wants it.
fn question(
    name: &str,
    command: &CommandSpec,
    confirm: &Confirmation,
    call: &Call,
    message: &Message,
) -> Option<Question> {
    let users = match &confirm.users {
        Some(users) => users.clone(),
        None if message.kind == MessageKind::Task => return None,
        None => vec![message.sender.as_str().to_owned()],
    };
    let about = command.about.as_ref().map(|about| format!(" ({about})")).unwrap_or_default();
    let values: Vec<String> =
        call.values.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let values = match values.is_empty() {
        true => String::new(),
        false => format!("\n\n{}", answer::block(&values.join("\n"))),
    };
    Some(Question {
        // What would be run and where, and those who may agree to it now.
        about: format!(
            "commands/{name} {:?} {:?} {users:?} {:?}",
            call.run, command.folder, command.require
        ),
        text: format!("Shall I run `{name}`{about}?{values}"),
        users,
        require: command.require,
        timeout: CONFIRMATION,
    })
}

#[async_trait]
impl Behavior for Commands {
    async fn on_message(
        &self,
        message: &Message,
        stage: &dyn Stage,
    ) -> Result<Option<Response>, BehaviorFault> {
        if !matches!(message.kind, MessageKind::Text | MessageKind::Task) {
            return Ok(None);
        }
        let (room, event_id, sender) = (&message.room, &message.event, &message.sender);
        let response = match decide(&self.commands, message) {
            Decision::NotForUs => return Ok(None),
            Decision::Refused { name, reason, text } => {
                info!(event = "command_refused", command = name, %sender, reason = reason.code(), %room, %event_id, "a command was not run: {reason}");
                Response::say(text)
            }
            Decision::Run { name, command, call } => {
                self.call(name, command, call, message, stage).await?
            }
        };
        Ok(Some(response))
    }

    fn commands(&self, message: Option<&Message>) -> Vec<Word> {
        commands::words(&self.commands, message)
    }

    fn limit(&self) -> Duration {
        let longest = self.commands.values().map(|command| command.timeout).max();
        TURN + longest.unwrap_or_default() + Duration::from_secs(30)
    }
}

fn interrupted(name: &str) -> String {
    format!(
        "I was interrupted while `{name}` ran, so I do not know what became of it, and I have not \
         run it again. Please look before you send it again."
    )
}
