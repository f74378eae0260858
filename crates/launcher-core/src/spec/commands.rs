//! What the behavior `commands` runs.

use std::{fmt, path::PathBuf, time::Duration};

use super::Requirement;
use crate::{
    children::{Limits, Variables},
    commands::{parameter::Parameter, template::Template},
};

/// One program and who may run it.
#[derive(Clone, PartialEq, Eq)]
pub struct CommandSpec {
    /// What it does, in a few words.
    pub about: Option<String>,
    /// The program and its arguments, at least the program, which has no
    /// parameter in it. No shell sees them.
    pub run: Vec<Template>,
    /// What may be written behind its name, in this order; each is used in `run`.
    pub parameters: Vec<Parameter>,
    /// Globs (`*`, `?`) on user ids; one must match the sender's whole id.
    pub users: Vec<String>,
    /// Globs on room ids; one must match the room's whole id.
    pub rooms: Vec<String>,
    /// How sure it has to be who the sender is.
    pub require: Requirement,
    /// Who has to agree before it runs; `None`: nobody.
    pub confirm: Option<Confirmation>,
    /// How long it may take before it is killed; 1 s to
    /// [`CommandSpec::LONGEST_TIMEOUT`].
    pub timeout: Duration,
    /// Where it runs: absolute, or below the agent's folder.
    pub folder: PathBuf,
    /// Its variables.
    pub variables: Variables,
    /// How its output is shown.
    pub output: OutputForm,
    /// When its exit status is shown.
    pub status: StatusShown,
    /// How often it may run at the same time; at least once.
    pub at_once: u32,
    /// What it may use up.
    pub limits: Limits,
}

/// Who has to agree before a command runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// Globs on user ids; `None`: the sender.
    pub users: Option<Vec<String>>,
}

/// How a command's output is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutputForm {
    /// As a code block.
    #[default]
    Block,
    /// As a file; what is short as a code block.
    File,
    /// As text with Markdown in it.
    Text,
}

/// When a command's exit status is shown. That it was killed always is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StatusShown {
    /// When it is not 0.
    #[default]
    Failure,
    /// Always.
    Always,
}

impl CommandSpec {
    /// The least time that a command gets.
    pub const SHORTEST_TIMEOUT: Duration = Duration::from_secs(1);

    /// The most time that a command gets. Shorter than what the runtime gives a
    /// behavior for one message: a command that is cut off there would count
    /// as one whose outcome nobody knows.
    pub const LONGEST_TIMEOUT: Duration = Duration::from_secs(120);

    /// A program that everybody may run whom the agent obeys, with arguments
    /// that may have parameters in them.
    pub fn running(run: &[&str]) -> Self {
        Self {
            about: None,
            run: run.iter().map(|argument| Template::parse(argument)).collect(),
            parameters: Vec::new(),
            users: vec!["*".to_owned()],
            rooms: vec!["*".to_owned()],
            require: Requirement::Trusted,
            confirm: None,
            timeout: Duration::from_secs(30),
            folder: PathBuf::new(),
            variables: Variables::default(),
            output: OutputForm::default(),
            status: StatusShown::default(),
            at_once: 1,
            limits: Limits::default(),
        }
    }
}

impl fmt::Debug for CommandSpec {
    /// Leaves out the arguments: a variable in them may be a secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CommandSpec")
            .field("users", &self.users)
            .field("rooms", &self.rooms)
            .field("require", &self.require)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
