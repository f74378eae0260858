//! `launcher restore`: makes an agent out of an archive.
//!
//! Everything is unpacked and checked below `.launcher/` before anything
//! appears where agents are.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use fs_err as fs;
use launcher_archive::{agent_of, open};
use launcher_config::{
    Arrival, Loaded, ProcessEnvironment, RootConfig, arrival, load, parse_pickle_key, variable,
};
use launcher_control::{
    audit::{AuditLog, Outcome},
    client::Client,
    peer::Peer,
    wire::Refusal,
};
use launcher_core::{agent::AgentId, secret::PickleKey};
use launcher_runtime::locks::make_private_folder;
use tempfile::TempDir;

use super::wait_for;
use crate::{
    args::Restore,
    ask,
    configured::Configured,
    exit::{self, Exit, Quit, say},
    move_in::move_in,
    table::harmless,
};

/// What becomes of the device.
const FIRST_START: &str = "At its first start it keeps its device if the original was not started again after the backup. \
     Else it becomes a new device, and only once the original has stopped.";

pub(crate) fn run(options: &Restore) -> anyhow::Result<Exit> {
    let file = &options.archive;
    let id = agent_of(file)?;
    let configured = Configured::read(&options.files)?;
    let root = configured.loaded.root.as_ref().context("reading the root configuration file")?;
    let log = AuditLog::in_folder(&configured.own_folder);
    let noted = |outcome: &Outcome| {
        log.write(Peer::own(), "restore", Some(id.as_str()), &[], outcome);
    };
    let restored = restore(options, &configured, root, &id, || noted(&Outcome::Began));
    noted(&match &restored {
        Ok(_) => Outcome::Done,
        Err(error) => Outcome::Refused(error.to_string()),
    });
    let Restored { folder, files, arrival, key } = restored?;

    let loaded = load(&configured.sources, &ProcessEnvironment);
    let what = format!("{id} is restored to {}: {files} files", folder.display());
    let todo = todo(&arrival, &loaded, &id, &key);
    let is_enabled = !matches!(loaded.agents.get(&id), Some(Ok(spec)) if !spec.enabled);
    wait_for(async {
        let is_running = Client::new(&configured.own_folder).status().await.is_ok();
        exit::print(&page(&what, &todo, next(is_enabled, is_running, todo.is_empty())));
        Ok(Exit::Done)
    })
}

/// An agent that is in its place.
struct Restored {
    folder: PathBuf,
    files: usize,
    arrival: Arrival,
    key: PickleKey,
}

/// Unpacks the archive, and moves what was in it to where agents are. `began` is
/// called when everything is known that is needed for that.
fn restore(
    options: &Restore,
    configured: &Configured,
    root: &RootConfig,
    id: &AgentId,
    began: impl FnOnce(),
) -> anyhow::Result<Restored> {
    let file = &options.archive;
    let folder = root.agents_dir.join(id.as_str());
    if fs::symlink_metadata(&folder).is_ok() {
        let reason = format!("{} exists; nothing was done", folder.display());
        let action = "move it away if that agent is not needed any more";
        return Err(Refusal::new(reason, action).into());
    }
    let key = Key::find(options.key_env.as_deref(), configured, root, id)?;
    let archive = open(file, &key.key).with_context(|| key.origin.clone())?;
    began();
    say(&format!("unpacking {id} from {}", file.display()));
    let staging = staging(&configured.own_folder, id)?;
    let unpacked = staging.path().join("agent");
    let files = archive.unpack(&unpacked)?.files;
    let config = unpacked.join("config.yaml");
    let arrival = arrival(&configured.sources, root, &ProcessEnvironment, id, &config);
    let arrival = arrival.ok_or_else(|| {
        anyhow!("{}: there is no config.yaml in it that can be read", file.display())
    })?;
    move_in(&unpacked, staging.path(), &folder, &arrival.store)?;
    Ok(Restored { folder, files, arrival, key: key.key })
}

fn next(is_enabled: bool, is_running: bool, is_complete: bool) -> &'static str {
    match (is_enabled, is_running, is_complete) {
        (false, ..) => "It is switched off in its config.yaml: nothing starts it.",
        (true, true, true) => "The launcher that runs here takes it up.",
        (true, true, false) => "The launcher that runs here takes it up when that is done.",
        (true, false, _) => "Start it with `launcher run`.",
    }
}

/// The key that opens the archive.
struct Key {
    key: PickleKey,
    /// Where it came from, for a complaint.
    origin: String,
}

impl Key {
    /// In the variable that was named, else in the one that an agent's key
    /// usually has, else from whoever runs the command.
    fn find(
        named: Option<&str>,
        configured: &Configured,
        root: &RootConfig,
        id: &AgentId,
    ) -> anyhow::Result<Self> {
        let usual = usual_variable(id);
        let look = |name: &str| variable(&configured.sources, root, &ProcessEnvironment, name);
        let (found, origin) = match named {
            Some(name) => {
                // The name is not repeated: somebody may have given the key itself.
                let unset = "the variable that --key-env names is set neither in the environment \
                             nor in `.env`";
                let found = look(name).ok_or_else(|| Quit::usage(unset))?;
                (found, "with the key that --key-env names".to_owned())
            }
            None => match look(&usual) {
                Some(found) => (found, format!("with the key in {usual}")),
                None => {
                    let prompt = format!("Pickle key of {id} (64 hex digits): ");
                    (ask::secret_from_anywhere(&prompt)?, "with that key".to_owned())
                }
            },
        };
        let key = parse_pickle_key(found.expose().trim())
            .map_err(|error| Quit::usage(format!("{origin}: {error}")))?;
        Ok(Self { key, origin })
    }
}

fn usual_variable(id: &AgentId) -> String {
    format!("PICKLE_KEY_{}", id.as_str().to_ascii_uppercase().replace('-', "_"))
}

/// Where the archive is unpacked. It is gone when dropped; only a kill leaves it.
fn staging(own_folder: &Path, id: &AgentId) -> anyhow::Result<TempDir> {
    make_private_folder(own_folder)
        .with_context(|| format!("making the folder {}", own_folder.display()))?;
    let made = tempfile::Builder::new()
        .prefix(&format!("restore-{id}-"))
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(own_folder);
    made.with_context(|| format!("making a folder in {}", own_folder.display()))
}

/// What has to be done before the agent can start.
fn todo(arrival: &Arrival, loaded: &Loaded, id: &AgentId, key: &PickleKey) -> Vec<String> {
    let is_key = |name: &String| arrival.key_variable.as_ref() == Some(name);
    let set = |name: &String| match is_key(name) {
        true => format!("set {name} in `.env` to its pickle key"),
        false => format!("set {name} in `.env`"),
    };
    let mut todo: Vec<String> = arrival.missing.iter().map(set).collect();
    match loaded.agents.get(id) {
        Some(Ok(spec)) if spec.encryption.pickle_key != *key => {
            let place = arrival.key_variable.as_deref().unwrap_or("encryption.pickle_key");
            todo.push(format!("change {place}: it is not the key that opened the archive"));
        }
        Some(Ok(_)) => {}
        Some(Err(problems)) if todo.is_empty() => {
            let first = problems.first().map(ToString::to_string).unwrap_or_default();
            let first = first.lines().next().unwrap_or_default();
            todo.push(format!("put right what `launcher check` shows: {first}"));
        }
        Some(Err(_)) | None => {}
    }
    todo
}

fn page(what: &str, todo: &[String], next: &str) -> String {
    let mut text = format!("{}\n", harmless(what));
    for line in todo {
        text.push_str(&format!("do: {line}\n"));
    }
    text.push_str(&format!("{FIRST_START}\n{next}\n"));
    text
}

#[cfg(test)]
mod tests {
    use launcher_config::{Sources, StoreHome};
    use launcher_core::secret::Secret;

    use super::*;

    #[test]
    fn the_usual_variable_has_the_agents_name() {
        assert_eq!(usual_variable(&"my-agent_2".parse().unwrap()), "PICKLE_KEY_MY_AGENT_2");
    }

    #[test]
    fn what_is_missing_is_told_by_name() {
        let folder = TempDir::new().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        fs::create_dir_all(folder.path().join("agents/a")).unwrap();
        write("config.yaml", "homeserver: https://hs.test\n");
        let agent = "matrix: { user_id: \"@a:hs.test\", password: \"x\" }\n\
                     encryption: { pickle_key: \"${A_KEY}\" }\nbehavior: { echo: {} }\n";
        write("agents/a/config.yaml", agent);
        let sources = Sources { config: folder.path().join("config.yaml"), env_file: None };
        let arrival = |missing: &[&str]| Arrival {
            store: StoreHome::Usual,
            missing: missing.iter().map(ToString::to_string).collect(),
            key_variable: Some("A_KEY".to_owned()),
        };
        let id = "a".parse().unwrap();
        let todo = |missing: &[&str], key: PickleKey| {
            todo(&arrival(missing), &load(&sources, &ProcessEnvironment), &id, &key)
        };
        let key = || parse_pickle_key(&"01ab".repeat(16)).unwrap();
        assert_eq!(
            todo(&["A_KEY", "OTHER"], key()),
            ["set A_KEY in `.env` to its pickle key", "set OTHER in `.env`"]
        );
        write(".env", &format!("A_KEY={}\n", "01ab".repeat(16)));
        assert_eq!(todo(&[], key()), [""; 0]);
        assert_eq!(
            todo(&[], Secret::new([9; 32])),
            ["change A_KEY: it is not the key that opened the archive"]
        );
        write("agents/a/config.yaml", &format!("{agent}what: 1\n"));
        let broken = todo(&[], key());
        assert!(broken[0].contains("`launcher check` shows: agents/a/config.yaml:4"), "{broken:?}");
    }

    #[test]
    fn the_page_says_what_comes_next() {
        let todo = ["set X in `.env`".to_owned()];
        let page = page("a is restored to /x: 3 files", &todo, next(true, true, false));
        assert_eq!(
            page,
            format!(
                "a is restored to /x: 3 files\ndo: set X in `.env`\n{FIRST_START}\n\
                 The launcher that runs here takes it up when that is done.\n"
            )
        );
    }
}
