//! `launcher new`: makes an agent, from nothing to one that answers.
//!
//! The order of the steps is what a kill leaves behind: first a note that this
//! is under way, then the secrets in `.env`, then the account, then the folder,
//! which appears as a whole. A second run of the same command finds the note,
//! takes the secrets that are there, and knows an account that it has made by
//! its password. A run about another account is refused as long as the note is
//! there. So nobody is locked out of an account, and no launcher ever sees half
//! an agent.

mod account;
mod choice;
mod draft;
mod files;
mod steps;

use std::path::Path;

use clap::Args;
use fs_err as fs;
use launcher_config::{ProcessEnvironment, RootConfig, load};
use launcher_control::{
    audit::{AuditLog, Outcome},
    client::{AskError, Client},
    peer::Peer,
    wire::{AgentReply, Refusal, StatusReply},
};
use launcher_core::{agent::AgentId, fault::Fault};
use launcher_runtime::locks::lock_folder;
use serde::Serialize;

use self::{
    files::Files,
    steps::{Newcomer, Steps},
};
use super::{json, look_until, wait_for};
use crate::{
    args::Agent,
    commands::check::sources,
    configured::invalid,
    exit::{self, Exit, say},
    folder,
    progress::patiently,
    table::harmless,
    way::{LOOK_EVERY, NOTICE_LIMIT, Purpose},
};

/// An agent to be made.
#[derive(Args, Debug)]
pub(crate) struct New {
    #[command(flatten)]
    agent: Agent,
    /// The homeserver: the address of its client-server API, or the name of the server
    /// [default: `homeserver` of the root configuration file]
    #[arg(long, value_name = "URL")]
    homeserver: Option<String>,
    /// The account: its localpart, or its full id if it exists [default: ID]
    #[arg(long, value_name = "USER")]
    username: Option<String>,
    /// Forgets an earlier run for this ID that was cut off and was about another account; its
    /// lines in `.env` become comments
    #[arg(long)]
    start_over: bool,
    /// Prints one JSON object, without secrets
    #[arg(long)]
    json: bool,
    #[command(flatten, next_help_heading = "How to get the account")]
    entrance: choice::Entrances,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Made {
    id: String,
    user_id: String,
    homeserver: String,
    folder: String,
    env_file: String,
    variables: [String; 2],
    /// Whether the account is new.
    registered: bool,
    /// The agent's state in the launcher that runs; null if none does.
    state: Option<String>,
    device_id: Option<String>,
}

pub(crate) fn run(options: &New) -> anyhow::Result<Exit> {
    let id = &options.agent.id;
    let sources = sources(&options.agent.files);
    let root = existing_root(&sources)?;
    let files = Files::find(&sources, root.as_ref(), id)?;
    let own_folder = folder::of_config(&sources.config);
    let notes = own_folder.join("new");
    let _one_at_a_time = lock_folder(&notes).map_err(|fault| unlocked(&own_folder, fault))?;
    let steps = Steps { options, root: root.as_ref(), files: &files, notes: &notes };
    let audit = Audit { log: AuditLog::in_folder(&own_folder), id };
    wait_for(async {
        let made = steps.make(&audit).await;
        audit.note(match &made {
            Ok(made) => (Outcome::Done, Some(made.spec.account.user_id.as_str())),
            Err(error) => (Outcome::Refused(error.to_string()), None),
        });
        // What comes now can fail, but the agent is there.
        show(options, &files, &made?).await
    })
}

/// Why the folder in which this is noted could not be locked.
fn unlocked(own_folder: &Path, fault: Fault) -> Refusal {
    match fault {
        Fault::StoreLocked { .. } => {
            let reason = format!("another `launcher new` works on {}", own_folder.display());
            Refusal::new(reason, "wait until it is done")
        }
        other => other.into(),
    }
}

/// The audit log, about this agent.
struct Audit<'a> {
    log: AuditLog,
    id: &'a AgentId,
}

impl Audit<'_> {
    fn note(&self, (outcome, user): (Outcome, Option<&str>)) {
        let about: Vec<&str> = user.into_iter().collect();
        self.log.write(Peer::own(), "new", Some(self.id.as_str()), &about, &outcome);
    }
}

/// Waits until a launcher that runs has the agent, and says what is to be known.
async fn show(options: &New, files: &Files, made: &Newcomer) -> anyhow::Result<Exit> {
    let (id, spec, configured) = (&options.agent.id, &made.spec, &made.configured);
    let user_id = &spec.account.user_id;
    say(&format!("{} is there", files.agent_folder().display()));
    let agent = match is_noticed(&configured.own_folder, id).await? {
        true => {
            say(&format!("a launcher runs here; waiting until {id} is ready"));
            let way = configured.way(spec, Purpose::Look).await?;
            Some(patiently("still waiting", way.come_up()).await?)
        }
        false => None,
    };
    exit::print(&match options.json {
        true => json(&Made {
            id: id.to_string(),
            user_id: user_id.clone(),
            homeserver: spec.account.homeserver.to_string(),
            folder: files.agent_folder().display().to_string(),
            env_file: files.env_file().display().to_string(),
            variables: files.variables().map(str::to_owned),
            registered: made.account.is_some_and(|account| account.is_new),
            state: agent.as_ref().map(|agent| agent.state.clone()),
            device_id: agent.and_then(|agent| agent.device_id),
        })?,
        false => page(id, user_id, agent.as_ref()),
    });
    Ok(Exit::Done)
}

/// The root file's settings; `None` if there is no such file yet.
fn existing_root(sources: &launcher_config::Sources) -> anyhow::Result<Option<RootConfig>> {
    if fs::symlink_metadata(&sources.config).is_err() {
        return Ok(None);
    }
    let loaded = load(sources, &ProcessEnvironment);
    match loaded.root {
        Some(root) => Ok(Some(root)),
        None => Err(invalid(&loaded.diagnostics).into()),
    }
}

/// Whether a launcher runs on this configuration; waits until it has the agent.
async fn is_noticed(own_folder: &Path, id: &AgentId) -> Result<bool, Refusal> {
    let client = Client::new(own_folder);
    let has_it = |reply: &StatusReply| reply.agents.iter().any(|agent| agent.id == id.as_str());
    let look = || async {
        match client.status().await {
            Err(AskError::NotRunning { .. }) => Ok(Some(false)),
            Err(error) => Err(Refusal::from(error)),
            Ok(reply) => Ok(has_it(&reply).then_some(true)),
        }
    };
    look_until(NOTICE_LIMIT, LOOK_EVERY, look).await?.ok_or_else(|| {
        let reason = format!("{id} is made, but the launcher that runs here does not start it");
        let action = "send it SIGHUP; if it runs with --only, start it anew with this agent";
        Refusal::new(reason, action)
    })
}

fn page(id: &AgentId, user_id: &str, agent: Option<&AgentReply>) -> String {
    let (ready, next) = match agent {
        Some(agent) => {
            let device = agent.device_id.as_deref().unwrap_or("none");
            (format!("{id} is ready: {user_id}, device {device}"), None)
        }
        None => (format!("{id} is made: {user_id}"), Some("next: start it with `launcher run`")),
    };
    let server = user_id.split_once(':').map_or("example.org", |(_, server)| server);
    let keep = format!(
        "keep: once it runs, `launcher recovery {id}` shows its recovery key, which is the way \
         back after a loss"
    );
    let first = format!(
        "try: `launcher invites {id} dm @you:{server}`, with your own id, has it open a chat with \
         you and greet you; then write something"
    );
    let lines = [Some(ready.as_str()), Some(&keep), next, Some(&first)];
    lines.into_iter().flatten().map(|line| harmless(line) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_ends_with_the_first_thing_to_try() {
        let id = "bot".parse().unwrap();
        let page = page(&id, "@bot:hs\u{1b}", None);
        let lines: Vec<&str> = page.lines().collect();
        assert_eq!(lines[0], "bot is made: @bot:hs\u{fffd}");
        assert_eq!(lines[2], "next: start it with `launcher run`");
        assert!(lines[3].starts_with("try: `launcher invites bot dm @you:hs\u{fffd}`"), "{page}");
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn only_a_lock_that_is_held_is_somebody_elses() {
        let own = Path::new("/x/.launcher");
        let held = unlocked(own, Fault::StoreLocked { path: own.join("new") });
        assert_eq!(held.reason, "another `launcher new` works on /x/.launcher");
        let detail = "Permission denied (os error 13)".to_owned();
        let other = unlocked(own, Fault::StoreUnusable { path: own.join("new"), detail });
        assert!(other.reason.contains("/x/.launcher/new cannot be used: Permission denied"));
        assert!(!other.reason.contains("another"), "{}", other.reason);
    }
}
