//! The files of an agent that is being made: the root file, `.env`, its folder.

use std::{
    fs::Permissions,
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use fs_err as fs;
use launcher_config::{
    EnvFileAddition, EnvFileError, Environment, ProcessEnvironment, RootConfig, Sources,
    append_to_env_file, comment_out_in_env_file, read_env_file,
};
use launcher_control::wire::Refusal;
use launcher_core::{agent::AgentId, names::UserId, secret::Secret};
use launcher_runtime::locks::make_private_folder;
use url::Url;

use crate::{
    commands::rekey::generate,
    exit::say,
    move_in::{move_folder, sync_folder},
};

/// Where everything goes.
#[derive(Debug)]
pub(super) struct Files {
    id: AgentId,
    /// The root file, if it has to be made.
    new_root: Option<PathBuf>,
    agents_dir: PathBuf,
    env_file: PathBuf,
    password: String,
    pickle_key: String,
}

impl Files {
    pub(super) fn find(
        sources: &Sources,
        root: Option<&RootConfig>,
        id: &AgentId,
    ) -> anyhow::Result<Self> {
        let parent = sources.config.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = fs::canonicalize(parent.unwrap_or(Path::new("."))).with_context(|| {
            format!("the root configuration file {} needs a folder", sources.config.display())
        })?;
        let Some(name) = sources.config.file_name() else {
            bail!("{} is no name of a file", sources.config.display());
        };
        let env_file = match &sources.env_file {
            Some(path) => std::path::absolute(path)?,
            None => directory.join(".env"),
        };
        let variable = id.as_str().to_ascii_uppercase().replace('-', "_");
        Ok(Self {
            id: id.clone(),
            new_root: root.is_none().then(|| directory.join(name)),
            agents_dir: root
                .map_or_else(|| directory.join("agents"), |root| root.agents_dir.clone()),
            env_file,
            password: format!("MATRIX_PASSWORD_{variable}"),
            pickle_key: format!("PICKLE_KEY_{variable}"),
        })
    }

    pub(super) fn agent_folder(&self) -> PathBuf {
        self.agents_dir.join(self.id.as_str())
    }

    pub(super) fn env_file(&self) -> &Path {
        &self.env_file
    }

    pub(super) fn variables(&self) -> [&str; 2] {
        [&self.password, &self.pickle_key]
    }

    pub(super) fn is_there(&self) -> bool {
        fs::symlink_metadata(self.agent_folder()).is_ok()
    }

    pub(super) fn is_taken(&self) -> Refusal {
        let reason = format!("{} exists; nothing was done", self.agent_folder().display());
        Refusal::new(reason, "choose another id, or move the folder away if nothing uses it")
    }

    /// Fails if a variable has a value that is not of an earlier run.
    pub(super) fn check_variables(&self, is_begun: bool) -> anyhow::Result<()> {
        let set = read_env_file(&self.env_file)?;
        for name in self.variables() {
            if ProcessEnvironment.var(name).is_some() {
                let reason = format!(
                    "{name} is set in the environment, which wins over `.env`; nothing was done"
                );
                return Err(Refusal::new(reason, "unset it, or choose another id").into());
            }
            if !is_begun && set.contains_key(name) {
                let file = self.env_file.display();
                let reason = format!("{name} is set in {file} already; nothing was done");
                let action = "choose another id, or remove the line if nothing uses it";
                return Err(Refusal::new(reason, action).into());
            }
        }
        Ok(())
    }

    /// The password that an earlier run has written down.
    pub(super) fn password(&self) -> Option<Secret<String>> {
        read_env_file(&self.env_file).ok()?.remove(&self.password)
    }

    /// Fails if an earlier run has written down another password: it may be the
    /// only thing that opens an account.
    pub(super) fn check_password(&self, password: &Secret<String>) -> Result<(), Refusal> {
        match self.password() {
            Some(earlier) if earlier != *password => {
                let (name, file) = (&self.password, self.env_file.display());
                let reason = format!(
                    "{name} in {file} is another password, of an earlier run; nothing was done"
                );
                let action = "repeat that run as it was; or give --start-over, which makes a \
                              comment of the line";
                Err(Refusal::new(reason, action))
            }
            _ => Ok(()),
        }
    }

    /// Makes comments of the variables of an earlier run.
    pub(super) fn set_aside(&self) -> Result<(), EnvFileError> {
        if comment_out_in_env_file(&self.env_file, &self.variables())? {
            let names = self.variables().join(" and ");
            say(&format!("{names} of the earlier run are comments in {}", self.env_file.display()));
        }
        Ok(())
    }

    /// Makes the root file and the folder of agents if they are not there.
    pub(super) fn begin(&self, homeserver: &Url) -> anyhow::Result<Begun> {
        let Some(root) = &self.new_root else { return Ok(Begun { root: None }) };
        match fs::create_dir(&self.agents_dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
            _ => {}
        }
        let parent = root.parent().unwrap_or(Path::new("."));
        let file = tempfile::NamedTempFile::new_in(parent).context("writing the root file")?;
        fs::write(file.path(), root_text(homeserver))?;
        file.as_file().sync_all()?;
        file.persist_noclobber(root).with_context(|| format!("writing {}", root.display()))?;
        sync_folder(parent)?;
        say(&format!("made {}", root.display()));
        Ok(Begun { root: Some(root.clone()) })
    }

    /// Writes the secrets into `.env`: those that are missing, all of them or none.
    /// What was added can be taken out again.
    pub(super) fn add_secrets(
        &self,
        password: &Secret<String>,
    ) -> anyhow::Result<Option<EnvFileAddition>> {
        let set = read_env_file(&self.env_file)?;
        let key = generate()?;
        let missing: Vec<(&str, &Secret<String>)> =
            [(self.password.as_str(), password), (&self.pickle_key, &key)]
                .into_iter()
                .filter(|(name, _)| !set.contains_key(*name))
                .collect();
        match missing.is_empty() {
            true => Ok(None),
            false => Ok(Some(append_to_env_file(&self.env_file, &missing)?)),
        }
    }

    /// Lets the agent appear in its folder, as a whole.
    pub(super) fn move_in(
        &self,
        notes: &Path,
        homeserver: &Url,
        user_id: &str,
    ) -> anyhow::Result<()> {
        if !is_plain(user_id) {
            bail!("the homeserver calls the account by an id that no configuration can hold");
        }
        let staging = tempfile::Builder::new()
            .prefix("folder-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(notes)
            .context("making a folder for the agent")?;
        let folder = staging.path().join("agent");
        make_private_folder(&folder)?;
        let file = folder.join("config.yaml");
        fs::write(&file, self.agent_text(homeserver, user_id))?;
        fs::File::open(&file)?.sync_all()?;
        sync_folder(&folder)?;
        move_folder(&folder, &self.agent_folder())?;
        Ok(())
    }

    fn agent_text(&self, homeserver: &Url, user_id: &str) -> String {
        let Self { id, password, pickle_key, .. } = self;
        let homeserver = shown(homeserver);
        let server = user_id.split_once(':').map_or("example.org", |(_, server)| server);
        format!(
            "# The agent `{id}`. `launcher check` looks at this file after an edit; a launcher that\n\
             # runs takes the edit up by itself.\n\
             matrix:\n  homeserver: \"{homeserver}\"\n  user_id: \"{user_id}\"\n  \
             password: \"${{{password}}}\"   # in .env\n\
             encryption:\n  # Seals the agent's files. In .env; keep a copy: nothing else opens them.\n  \
             pickle_key: \"${{{pickle_key}}}\"\n  \
             # trust_mode: tofu   # tofu | cross-signing | manual: who gets keys and is obeyed\n\
             # Who may invite it; without this, everyone of its own server.\n\
             # invites: {{ from: [\"@*:{server}\"] }}\n\
             behavior:\n  echo: {{ prefix: \"echo: \" }}\n"
        )
    }
}

/// What was made before there was an account.
#[derive(Debug)]
pub(super) struct Begun {
    root: Option<PathBuf>,
}

impl Begun {
    /// Takes the root file away that was made. The folder of agents stays: it
    /// may have got something to hold.
    pub(super) fn undo(self) -> io::Result<()> {
        self.root.map_or(Ok(()), fs::remove_file)
    }
}

fn root_text(homeserver: &Url) -> String {
    let homeserver = shown(homeserver);
    format!(
        "# The launcher's own settings; agents are folders in agents/.\n\
         homeserver: \"{homeserver}\"\n\
         # log: {{ format: json, level: info }}   # pretty | json\n\
         # defaults:   # keys of an agent's config.yaml, for all agents\n\
         #   encryption: {{ trust_mode: tofu }}\n"
    )
}

/// An address as people write it, the same for all spellings of it.
pub(super) fn shown(homeserver: &Url) -> String {
    homeserver.as_str().trim_end_matches('/').to_owned()
}

/// Whether an id can stand between double quotes in YAML as it is, and means
/// itself there.
fn is_plain(user_id: &str) -> bool {
    let odd = |char: char| !char.is_ascii_graphic() || "\"\\${}".contains(char);
    UserId::typed(user_id).is_some() && !user_id.contains(odd)
}

#[cfg(test)]
mod tests {
    use launcher_config::load;
    use tempfile::TempDir;

    use super::*;

    fn place() -> (TempDir, Sources) {
        let folder = TempDir::new().unwrap();
        let sources = Sources { config: folder.path().join("config.yaml"), env_file: None };
        (folder, sources)
    }

    fn files(sources: &Sources) -> Files {
        let root = load(sources, &ProcessEnvironment).root;
        Files::find(sources, root.as_ref(), &"my-bot".parse().unwrap()).unwrap()
    }

    #[test]
    fn what_is_made_from_nothing_is_valid_and_private() {
        let (folder, sources) = place();
        let hs = Url::parse("https://hs.test").unwrap();
        let files = files(&sources);
        files.check_variables(false).unwrap();
        files.begin(&hs).unwrap();
        let password = Secret::new("it's $a \"secret\" \\".to_owned());
        files.add_secrets(&password).unwrap().unwrap();
        files.move_in(folder.path(), &hs, "@my-bot:hs.test").unwrap();
        let loaded = load(&sources, &ProcessEnvironment);
        assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
        let spec = loaded.agents[&"my-bot".parse().unwrap()].as_ref().unwrap().clone();
        assert_eq!(spec.account.user_id, "@my-bot:hs.test");
        assert_eq!(spec.account.password, Some(password));
        let mode = |name: &str| {
            fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o077
        };
        assert_eq!((mode(".env"), mode("agents/my-bot")), (0, 0));
        assert_eq!(files.variables(), ["MATRIX_PASSWORD_MY_BOT", "PICKLE_KEY_MY_BOT"]);
        assert!(files.is_there());
    }

    #[test]
    fn a_refusal_leaves_no_trace() {
        let (folder, sources) = place();
        let files = files(&sources);
        let begun = files.begin(&Url::parse("https://hs.test").unwrap()).unwrap();
        let added = files.add_secrets(&Secret::new("p".to_owned())).unwrap();
        added.unwrap().undo().unwrap();
        begun.undo().unwrap();
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "only the folder of agents stays: {left:?}");
    }

    #[test]
    fn variables_of_somebody_else_stop_it_and_those_of_an_earlier_run_are_used() {
        let (folder, sources) = place();
        let files = files(&sources);
        let secret = |text: &str| Secret::new(text.to_owned());
        let env = folder.path().join(".env");
        fs::write(&env, "OTHER=1").unwrap();
        files.add_secrets(&secret("first")).unwrap().unwrap();
        let refused = files.check_variables(false).unwrap_err().to_string();
        assert!(refused.contains("MATRIX_PASSWORD_MY_BOT is set in"), "{refused}");
        files.check_variables(true).unwrap();
        assert_eq!(files.password(), Some(secret("first")));
        let before = fs::read_to_string(&env).unwrap();
        assert!(files.add_secrets(&secret("first")).unwrap().is_none());
        assert_eq!(fs::read_to_string(&env).unwrap(), before);
        // Another password is in the way, until somebody says that it is not needed.
        files.check_password(&secret("first")).unwrap();
        let refused = files.check_password(&secret("second")).unwrap_err();
        assert!(refused.action.unwrap().contains("--start-over"));
        assert!(files.add_secrets(&secret("second")).unwrap().is_none());
        assert_eq!(fs::read_to_string(&env).unwrap(), before);
        files.set_aside().unwrap();
        files.check_password(&secret("second")).unwrap();
        files.check_variables(false).unwrap();
        files.add_secrets(&secret("second")).unwrap().unwrap();
        let now = fs::read_to_string(&env).unwrap();
        assert!(now.contains("\n# MATRIX_PASSWORD_MY_BOT=first\n"), "{now}");
        assert_eq!(files.password(), Some(secret("second")));
    }

    #[test]
    fn only_ids_that_mean_themselves_are_written() {
        assert!(is_plain("@bot:hs.test:8448"));
        for odd in ["@b\"ot:hs", "@${X}:hs", "@b\\n:hs", "bot", "@\u{e4}:hs"] {
            assert!(!is_plain(odd), "{odd}");
        }
    }
}
