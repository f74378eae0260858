//! `launcher new`: makes an agent, from nothing to one that answers.
//!
//! The order of the steps is what a kill leaves behind: first a note that this
//! is under way, then the secrets in `.env`, then the account, then the folder,
//! which appears as a whole. A second run of the same command finds the note,
//! takes the secrets that are there, and knows an account that it has made by
//! its password. So nobody is locked out of an account, and no launcher ever
//! sees half an agent.

mod account;
mod choice;
mod draft;
mod files;

use std::path::Path;

use clap::Args;
use fs_err as fs;
use launcher_config::{ProcessEnvironment, RootConfig, load};
use launcher_control::{
    audit::{AuditLog, Outcome},
    client::{AskError, Client},
    peer::Peer,
    wire::{AgentReply, Refusal},
};
use launcher_core::agent::AgentId;
use launcher_matrix::{MatrixConnector, registration::find_homeserver};
use launcher_runtime::locks::{lock_folder, make_private_folder};
use serde::Serialize;
use tokio::time::{Duration, Instant, sleep};

use self::{
    account::{Account, Done},
    choice::Choice,
    draft::Draft,
    files::Files,
};
use super::{json, wait_for};
use crate::{
    args::Agent,
    commands::check::sources,
    configured::{Configured, invalid},
    exit::{self, Exit, say},
    folder,
    table::harmless,
    way::Purpose,
};

/// How long a launcher may take to notice a new folder: it waits until files
/// are quiet, two seconds at most.
const NOTICE_LIMIT: Duration = Duration::from_secs(20);

/// How often it is asked meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(200);

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
    make_private_folder(&notes)?;
    let _one_at_a_time = lock_folder(&notes).map_err(|_| {
        let reason = format!("another `launcher new` works on {}", own_folder.display());
        Refusal::new(reason, "wait until it is done")
    })?;
    let audit = AuditLog::in_folder(&own_folder);
    let noted = |about: &[&str], outcome: &Outcome| {
        audit.write(Peer::own(), "new", Some(id.as_str()), about, outcome);
    };
    let draft = Draft::read(&notes, id)?;
    let done = wait_for(async {
        let earlier = draft.as_ref().and_then(|draft| draft.user_id.clone());
        let account = match files.is_there() {
            // It may have been killed when nothing but the note was left to remove.
            true if earlier.is_some() => None,
            true => return Err(files.is_taken().into()),
            false => Some(make(options, root.as_ref(), &files, draft, &notes).await?),
        };
        let configured = Configured::read(&options.agent.files)?;
        let spec = configured.agent(id)?;
        if account.is_none() && earlier.as_ref() != Some(&spec.account.user_id) {
            return Err(files.is_taken().into());
        }
        Draft::remove(&notes, id)?;
        let user_id = spec.account.user_id.clone();
        noted(&[&user_id], &Outcome::Done);
        say(&format!("{} is there", files.agent_folder().display()));
        let agent = match is_noticed(&configured.own_folder, id).await? {
            true => {
                say(&format!("a launcher runs here; waiting until {id} is ready"));
                let way = configured.way(spec, Purpose::Look).await?;
                Some(way.come_up().await?)
            }
            false => None,
        };
        let text = match options.json {
            true => json(&Made {
                id: id.to_string(),
                user_id,
                homeserver: spec.account.homeserver.to_string(),
                folder: files.agent_folder().display().to_string(),
                env_file: files.env_file().display().to_string(),
                variables: files.variables().map(str::to_owned),
                registered: account.is_some_and(|account| account.is_new),
                state: agent.as_ref().map(|agent| agent.state.clone()),
                device_id: agent.and_then(|agent| agent.device_id),
            })?,
            false => page(id, &user_id, agent.as_ref()),
        };
        exit::print(&text);
        Ok(Exit::Done)
    });
    if let Err(error) = &done {
        noted(&[], &Outcome::Refused(error.to_string()));
    }
    done
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

/// Makes everything but the last step, which is to forget that this was begun.
async fn make(
    options: &New,
    root: Option<&RootConfig>,
    files: &Files,
    draft: Option<Draft>,
    notes: &Path,
) -> anyhow::Result<Done> {
    let id = &options.agent.id;
    files.check_variables(draft.is_some())?;
    let connector = MatrixConnector::new()?;
    let typed = choice::homeserver(options.homeserver.as_deref(), root)?;
    let found = find_homeserver(&connector, &typed)
        .await
        .map_err(|error| Refusal::new(error.to_string(), error.action()))?;
    let newest = found.versions.last().map(String::as_str).unwrap_or_default();
    say(&harmless(&format!("{} answers; it speaks Matrix {newest}", found.base)));
    if !found.is_private() {
        say("this address is not encrypted: whoever is on the way reads the password");
    }
    let username = choice::username(options.username.as_deref(), id, &options.entrance)?;
    let choice = Choice::make(&connector, &found.base, &username, &options.entrance).await?;

    if let Some(made) = draft.as_ref().filter(|draft| !draft.is_about(&found.base, &username))
        && let Some(user_id) = &made.user_id
    {
        // Its password is in `.env`, and nowhere else.
        let reason = format!("an earlier `launcher new {id}` has made {user_id}, and was cut off");
        let action = "repeat it with the same --homeserver and --username; or take another ID";
        return Err(Refusal::new(reason, action).into());
    }
    let known = draft.filter(|draft| draft.is_about(&found.base, &username));
    let mut account = Account::begin(&connector, &found.base, &username, &choice);
    let password = known.as_ref().and_then(|_| files.password());
    account.examine(password.as_ref()).await?;

    let begun = files.begin(&found.base)?;
    let mut draft = Draft::begin(notes, id, &found.base, &username)?;
    let added = files.add_secrets(&account.password()?)?;
    say(&format!("{} are in {}", files.variables().join(" and "), files.env_file().display()));
    // Nothing that was there before is taken away.
    if let Err(error) = account.register().await {
        if let Some(added) = added.filter(|_| error.is_final()) {
            added.undo()?;
            Draft::remove(notes, id)?;
            begun.undo()?;
        }
        return Err(account::refusal(&error).into());
    }
    let user_id = account.user_id()?;
    draft.registered(&user_id)?;
    files.move_in(notes, &found.base, &user_id)?;
    Ok(account.done())
}

/// Whether a launcher runs on this configuration; waits until it has the agent.
async fn is_noticed(own_folder: &Path, id: &AgentId) -> Result<bool, Refusal> {
    let client = Client::new(own_folder);
    let end = Instant::now() + NOTICE_LIMIT;
    loop {
        match client.status().await {
            Err(AskError::NotRunning { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
            Ok(reply) if reply.agents.iter().any(|agent| agent.id == id.as_str()) => {
                return Ok(true);
            }
            Ok(_) if Instant::now() >= end => {
                let reason =
                    format!("{id} is made, but the launcher that runs here does not start it");
                let action =
                    "send it SIGHUP; if it runs with --only, start it anew with this agent";
                return Err(Refusal::new(reason, action));
            }
            Ok(_) => sleep(LOOK_EVERY).await,
        }
    }
}

fn page(id: &AgentId, user_id: &str, agent: Option<&AgentReply>) -> String {
    let mut text = match agent {
        Some(agent) => {
            let device = agent.device_id.as_deref().unwrap_or("none");
            format!("{id} is ready: {user_id}, device {device}\n")
        }
        None => format!("{id} is made: {user_id}\nnext: start it with `launcher run`\n"),
    };
    text.push_str(&format!("try: write to {user_id}, or invite it to a room, and say hello\n"));
    text.push_str(&format!(
        "keep: once it runs, `launcher recovery {id}` shows its recovery key, which is the way \
         back after a loss\n"
    ));
    text.lines().map(|line| harmless(line) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_ends_with_the_first_thing_to_try() {
        let id = "bot".parse().unwrap();
        let page = page(&id, "@bot:hs\u{1b}", None);
        assert!(
            page.starts_with("bot is made: @bot:hs\u{fffd}\nnext: start it with `launcher run`\n")
        );
        assert!(page.contains("try: write to @bot:hs"), "{page}");
    }
}
