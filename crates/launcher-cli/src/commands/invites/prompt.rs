//! `launcher invites prompt`: orders one after the other. What is typed is what
//! could stand behind `launcher invites`.

mod completion;

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::{CommandFactory, Parser};
use launcher_core::agent::AgentId;
use rustyline::{CompletionType, Config, Editor, error::ReadlineError, history::DefaultHistory};
use tokio::runtime::Runtime;

use self::completion::Completion;
use super::Asker;
use crate::{
    args::{InvitesOrder, InvitesTyped},
    exit::{self, Exit, say, say_error},
};

/// The history's file, in the launcher's own folder.
const HISTORY: &str = "invites.history";

/// Lines that the history keeps.
const KEPT: usize = 500;

/// One line.
#[derive(Debug, Parser)]
#[command(
    name = "invites",
    no_binary_name = true,
    disable_help_subcommand = true,
    override_usage = "[ID] [ORDER]",
    after_help = "`quit`, or Ctrl-D, ends the prompt."
)]
struct Line {
    #[command(flatten)]
    typed: InvitesTyped,
}

/// What a line means.
#[derive(Debug)]
enum Meant {
    Nothing,
    Help,
    Quit,
    Order(Box<InvitesTyped>),
}

/// Fails, when it ends, if an order failed.
pub(super) fn run(
    asker: &Asker,
    own_folder: &Path,
    agent: Option<&AgentId>,
) -> anyhow::Result<Exit> {
    let runtime = Runtime::new().context("starting the runtime")?;
    let agents = runtime.block_on(asker.agents())?;
    if let Some(agent) = agent
        && !agents.iter().any(|known| known.id == agent.as_str())
    {
        anyhow::bail!("the launcher does not run {agent}");
    }
    let mut session = Session {
        asker,
        agent,
        editor: editor(Completion::new(runtime.handle().clone(), asker, agent))?,
        history: own_folder.join(HISTORY),
        is_terminal: std::io::stdin().is_terminal(),
        runtime: &runtime,
    };
    // There is none before the first line.
    session.editor.load_history(&session.history).ok();
    if session.is_terminal {
        say("`help` lists the orders, Tab completes, `quit` ends");
    }
    session.follow()
}

type LineEditor = Editor<Completion, DefaultHistory>;

fn editor(completion: Completion) -> anyhow::Result<LineEditor> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .max_history_size(KEPT)
        .and_then(|config| config.history_ignore_dups(true))
        .context("setting up the prompt")?
        .build();
    let mut editor = LineEditor::with_config(config).context("setting up the prompt")?;
    editor.set_helper(Some(completion));
    Ok(editor)
}

struct Session<'a> {
    asker: &'a Asker,
    agent: Option<&'a AgentId>,
    editor: LineEditor,
    history: PathBuf,
    is_terminal: bool,
    runtime: &'a Runtime,
}

impl Session<'_> {
    fn follow(&mut self) -> anyhow::Result<Exit> {
        let prompt = match self.agent {
            Some(agent) => format!("{agent}> "),
            None => "invites> ".to_owned(),
        };
        let mut all_done = Exit::Done;
        loop {
            let line = match self.editor.readline(&prompt) {
                Ok(line) => line,
                Err(ReadlineError::Interrupted) => continue,
                Err(ReadlineError::Eof) => return Ok(all_done),
                Err(error) => return Err(error).context("reading from the terminal"),
            };
            let meant = meant(&line, self.agent);
            if is_kept(&meant) {
                self.remember(&line);
            }
            match meant {
                Ok(Meant::Nothing) => {}
                Ok(Meant::Help) => exit::print(&Line::command().render_help().to_string()),
                Ok(Meant::Quit) => return Ok(all_done),
                Ok(Meant::Order(typed)) => {
                    if self.carry_out(&typed) != Exit::Done {
                        all_done = Exit::Failed;
                    }
                }
                Err(text) => {
                    all_done = Exit::Failed;
                    say(text.trim_end());
                }
            }
        }
    }

    /// Ctrl-C ends an order, not the prompt.
    fn carry_out(&self, typed: &InvitesTyped) -> Exit {
        let done = self.runtime.block_on(async {
            // While a line is typed, Ctrl-C is a key. Where none is typed it ends everything.
            let interrupted = async {
                match self.is_terminal {
                    true => tokio::signal::ctrl_c().await,
                    false => std::future::pending().await,
                }
            };
            tokio::select! {
                done = self.asker.carry_out(typed) => done,
                _ = interrupted => Ok(Exit::Failed),
            }
        });
        done.unwrap_or_else(|error| {
            say_error(&error);
            exit::of_error(&error)
        })
    }

    fn remember(&mut self, line: &str) {
        let kept = self.editor.add_history_entry(line);
        if let Ok(true) = kept
            && let Err(error) = self.editor.append_history(&self.history)
        {
            say(&format!("the history is not kept: {}: {error}", self.history.display()));
        }
    }
}

/// What a line means; if nothing, why.
fn meant(line: &str, agent: Option<&AgentId>) -> Result<Meant, String> {
    let words = shlex::split(line).ok_or("a quotation mark is missing")?;
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => return Ok(Meant::Nothing),
        ["help"] => return Ok(Meant::Help),
        ["quit" | "exit"] => return Ok(Meant::Quit),
        _ => {}
    }
    let given = agent.into_iter().flat_map(|agent| ["--agent".to_owned(), agent.to_string()]);
    let line = Line::try_parse_from(given.chain(words)).map_err(|error| error.to_string())?;
    Ok(Meant::Order(Box::new(line.typed)))
}

/// Whether a line goes into the history: not with a text for somebody in it.
fn is_kept(meant: &Result<Meant, String>) -> bool {
    match meant {
        Ok(Meant::Order(typed)) => {
            !matches!(&typed.order, Some(InvitesOrder::Dm { greeting: Some(_), .. }))
        }
        Ok(Meant::Nothing | Meant::Help | Meant::Quit) | Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(line: &str, agent: Option<&str>) -> InvitesTyped {
        let agent = agent.map(|agent| agent.parse().unwrap());
        match meant(line, agent.as_ref()) {
            Ok(Meant::Order(typed)) => *typed,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_line_is_what_could_stand_behind_the_command() {
        let accepted = order("bot accept !r:hs", None);
        assert_eq!(accepted.one_agent().unwrap().as_str(), "bot");
        assert!(matches!(accepted.order, Some(InvitesOrder::Accept { .. })));
        let made = order("room 'two words' --invite @a:hs", Some("bot"));
        assert_eq!(made.one_agent().unwrap().as_str(), "bot");
        assert!(
            matches!(&made.order, Some(InvitesOrder::Room { name, invite, .. }) if name == "two words" && invite.len() == 1)
        );
        assert!(matches!(meant("  ", None), Ok(Meant::Nothing)));
        assert!(matches!(meant("quit", None), Ok(Meant::Quit)));
    }

    #[test]
    fn what_cannot_be_understood_ends_nothing() {
        assert_eq!(meant("bot accept '!r", None).unwrap_err(), "a quotation mark is missing");
        assert!(meant("bot frobnicate", None).unwrap_err().contains("frobnicate"));
        let agent = "bot".parse().unwrap();
        assert!(meant("other accept !r:hs", Some(&agent)).is_err());
    }

    #[test]
    fn a_text_for_somebody_is_not_kept() {
        assert!(is_kept(&meant("bot dm @a:hs", None)));
        assert!(!is_kept(&meant("bot dm @a:hs --greeting 'the code is 17'", None)));
        assert!(!is_kept(&meant("bot dm @a:hs --greting 'the code is 17'", None)));
    }
}
