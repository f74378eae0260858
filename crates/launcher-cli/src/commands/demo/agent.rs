//! The agent of a demonstration: a sample that the binary brings along, or one
//! of the operator's own. It gets another account, other keys and other data.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Context;
use fs_err as fs;
use launcher_config::{Environment, ProcessEnvironment, Sources, load};
use launcher_core::{agent::AgentId, spec::AgentSpec};
use launcher_runtime::locks::make_private_folder;

use crate::{
    args::Files,
    commands::{chat::place::Account, check::sources},
    configured::invalid,
    exit::Quit,
};

/// What is shown if nobody names an agent.
const SAMPLE: &str = include_str!("../../../../../agents/echo/config.yaml");

/// What it is called.
const SAMPLE_ID: &str = "echo";

/// What of an agent's file does not hold in a demonstration.
const REPLACED: [&str; 5] = ["enabled", "matrix", "messager", "encryption", "invites"];

/// What takes its place.
const ACCOUNT: &str = "
messager: { server: \"${DEMO_SERVER}\", token: \"${DEMO_TOKEN}\" }
encryption: { pickle_key: \"${DEMO_PICKLE_KEY}\" }
invites: { from: [\"*\"] }
";

/// An agent's file and what is beside it.
pub(super) struct Agent {
    pub(super) id: AgentId,
    text: String,
    /// Its folder, and where its variables are; `None` for the sample.
    origin: Option<(PathBuf, PathBuf)>,
}

impl Agent {
    /// The one that was named, or the sample.
    pub(super) fn find(files: &Files, wanted: Option<&AgentId>) -> anyhow::Result<Self> {
        let Some(id) = wanted else {
            let id = SAMPLE_ID.parse()?;
            return Ok(Self { id, text: SAMPLE.to_owned(), origin: None });
        };
        let sources = sources(files);
        let loaded = load(&sources, &ProcessEnvironment);
        let Some(root) = &loaded.root else { return Err(invalid(&loaded.diagnostics).into()) };
        if !loaded.agents.contains_key(id) {
            let folder = root.agents_dir.display();
            return Err(Quit::usage(format!("there is no agent `{id}` in {folder}")).into());
        }
        let folder = root.agents_dir.join(id.as_str());
        let text = fs::read_to_string(folder.join("config.yaml"))?;
        let variables = sources.env_file.unwrap_or_else(|| root.directory.join(".env"));
        Ok(Self { id: id.clone(), text, origin: Some((folder, variables)) })
    }

    /// Puts the agent into `folder`, with this account, and reads it there.
    pub(super) fn put(self, folder: &Path, account: &Account) -> anyhow::Result<AgentSpec> {
        let home = folder.join("agents").join(self.id.as_str());
        make_private_folder(&home)?;
        let env_file = match self.origin {
            None => None,
            Some((from, variables)) => {
                copy(&from, &home).with_context(|| format!("copying {}", from.display()))?;
                variables.exists().then_some(variables)
            }
        };
        fs::write(home.join("config.yaml"), without(&self.text, &REPLACED) + ACCOUNT)?;
        let config = folder.join("config.yaml");
        fs::write(&config, "agents_dir: ./agents\n")?;
        let key: String = account.key.expose().iter().map(|byte| format!("{byte:02x}")).collect();
        let own = BTreeMap::from([
            ("DEMO_SERVER".to_owned(), account.server.to_string()),
            ("DEMO_TOKEN".to_owned(), account.token.expose().clone()),
            ("DEMO_PICKLE_KEY".to_owned(), key),
        ]);
        let mut loaded = load(&Sources { config, env_file }, &Both(own));
        match loaded.agents.remove(&self.id) {
            Some(Ok(spec)) => Ok(spec),
            Some(Err(problems)) => Err(invalid(&problems).into()),
            None => Err(invalid(&loaded.diagnostics).into()),
        }
    }
}

/// The text of a YAML file without these keys of its top level and what is
/// below them.
fn without(text: &str, keys: &[&str]) -> String {
    let mut is_kept = true;
    let mut kept = String::new();
    for line in text.lines() {
        if line.starts_with(|first: char| !first.is_whitespace() && first != '#') {
            let key = line.split_once(':').map_or(line, |(key, _)| key);
            is_kept = !keys.contains(&key.trim_matches('"'));
        }
        if is_kept {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// Everything in a folder but hidden files and what the launcher has written.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    make_private_folder(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == "data" || name.to_string_lossy().starts_with('.') {
            continue;
        }
        let (from, to) = (entry.path(), to.join(&name));
        if entry.file_type()?.is_dir() {
            copy(&from, &to)?;
        } else if from.is_file() {
            fs::copy(&from, &to)?;
        }
    }
    Ok(())
}

/// Variables of the demonstration, then those of the process.
struct Both(BTreeMap<String, String>);

impl Environment for Both {
    fn var(&self, name: &str) -> Option<String> {
        self.0.var(name).or_else(|| ProcessEnvironment.var(name))
    }
}

#[cfg(test)]
mod tests {
    use launcher_config::parse_pickle_key;
    use launcher_core::{secret::Secret, spec::Network};

    use super::*;

    fn account() -> Account {
        Account {
            server: "http://127.0.0.1:8447".parse().unwrap(),
            token: Secret::new("token".to_owned()),
            key: parse_pickle_key(&"0f".repeat(32)).unwrap(),
        }
    }

    #[test]
    fn a_section_goes_with_all_that_is_below_it() {
        let text = "a: 1\nmatrix:\n  x: 1\n\n# of matrix\n  y: 2\nb:\n  matrix: 3\n";
        assert_eq!(without(text, &["matrix"]), "a: 1\nb:\n  matrix: 3\n");
    }

    #[test]
    fn the_sample_needs_nothing_but_the_binary() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files { config: folder.path().join("nowhere.yaml"), env_file: None };
        let spec = Agent::find(&files, None).unwrap().put(folder.path(), &account()).unwrap();
        assert_eq!((spec.id.as_str(), spec.enabled), ("echo", true));
        assert_eq!(spec.account.network, Network::Messager);
        assert_eq!(spec.invites.from, ["*"]);
        assert!(spec.data_folder().starts_with(fs::canonicalize(folder.path()).unwrap()));
    }

    #[test]
    fn an_agent_of_the_operators_own_keeps_its_programs_and_not_its_data() {
        let (there, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let own = there.path().join("agents/mine");
        fs::create_dir_all(own.join("data/crypto")).unwrap();
        fs::write(there.path().join("config.yaml"), "homeserver: https://hs.test\n").unwrap();
        fs::write(there.path().join(".env"), "NAME=robot.py\n").unwrap();
        let text = "enabled: false\nmatrix:\n  user_id: \"@a:${UNSET}\"\n\
                    behavior: { process: { run: [\"python3\", \"${NAME}\"] } }\n";
        fs::write(own.join("config.yaml"), text).unwrap();
        fs::write(own.join("robot.py"), "pass").unwrap();
        fs::write(own.join("data/vault"), "sealed").unwrap();
        let files = Files { config: there.path().join("config.yaml"), env_file: None };
        let id = "mine".parse().unwrap();
        let spec = Agent::find(&files, Some(&id)).unwrap().put(here.path(), &account()).unwrap();
        assert!(spec.enabled && spec.folder.join("robot.py").is_file());
        assert!(!spec.data_folder().exists());
        let other = "other".parse().unwrap();
        assert!(Agent::find(&files, Some(&other)).is_err());
    }
}
