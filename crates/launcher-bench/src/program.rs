//! The two programs: what they read, how they are started, what they say.

use std::{
    collections::BTreeSet,
    env, fmt,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    bound::BoundProgram,
    error::BenchError,
    stage::{PASSWORD, Stage},
};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// The SDK as its examples use it.
    Plain,
    /// The launcher.
    Launcher,
}

impl Program {
    /// A word for file names and account names.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Launcher => "launcher",
        }
    }

    /// Starts it in `folder` with a bot for every user.
    pub(crate) fn start(
        self,
        binaries: &Binaries,
        stage: &Stage,
        folder: &Path,
        users: &[String],
    ) -> Result<BoundProgram, BenchError> {
        let (binary, arguments) = match self {
            Self::Plain => (&binaries.plain, plain_arguments(stage, users)),
            Self::Launcher => {
                write_launcher_folder(stage, folder, users)?;
                (&binaries.launcher, LAUNCHER_ARGUMENTS.map(ToOwned::to_owned).to_vec())
            }
        };
        BoundProgram::start(binary, &arguments, folder, folder.join("log"))
    }

    /// How many bots are logged in, by its log.
    pub(crate) fn ready(self, log: &str) -> usize {
        let ready: BTreeSet<String> = match self {
            Self::Plain => log
                .lines()
                .filter_map(|line| Some(line.strip_prefix("ready ")?.to_owned()))
                .collect(),
            Self::Launcher => {
                let entries =
                    log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
                let ready = entries.filter(|entry| entry["event"] == "agent_ready");
                ready.map(|entry| entry["agent"].to_string()).collect()
            }
        };
        ready.len()
    }

    /// The lines of its log in which it tells of trouble itself. What the SDK
    /// says is left out: for it, a request for something that is not there is
    /// an error, and every login makes some.
    pub(crate) fn troubles(self, log: &str) -> Vec<&str> {
        let is_trouble = |line: &str| match self {
            Self::Plain => line.starts_with("plain-bot: "),
            Self::Launcher => {
                let entry: Value = serde_json::from_str(line).unwrap_or_default();
                (entry["level"] == "WARN" || entry["level"] == "ERROR")
                    && entry["target"].as_str().is_some_and(|target| target.starts_with("launcher"))
            }
        };
        log.lines().filter(|line| is_trouble(line)).collect()
    }
}

impl fmt::Display for Program {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Plain => "plain matrix-sdk",
            Self::Launcher => "launcher",
        })
    }
}

/// Where the two programs are.
#[derive(Debug)]
pub(crate) struct Binaries {
    plain: PathBuf,
    launcher: PathBuf,
}

impl Binaries {
    /// Finds them beside this one, where cargo puts them.
    pub(crate) fn find() -> Result<Self, BenchError> {
        let own = env::current_exe().map_err(BenchError::files)?;
        let find = |name: &str| {
            let path = own.with_file_name(name);
            if path.exists() { Ok(path) } else { Err(BenchError::NotBuilt { path }) }
        };
        Ok(Self { plain: find("plain-bot")?, launcher: find("launcher")? })
    }
}

fn plain_arguments(stage: &Stage, users: &[String]) -> Vec<String> {
    let mut arguments = vec![stage.base_url().to_owned(), ".".to_owned(), PASSWORD.to_owned()];
    arguments.extend_from_slice(users);
    arguments
}

const LAUNCHER_ARGUMENTS: [&str; 5] = ["run", "--config", "config.yaml", "--log-format", "json"];

fn write_launcher_folder(stage: &Stage, folder: &Path, users: &[String]) -> Result<(), BenchError> {
    let root = format!("homeserver: {}\n", stage.base_url());
    fs_err::write(folder.join("config.yaml"), root).map_err(BenchError::files)?;
    let mut variables = String::new();
    for (number, user) in (1..).zip(users) {
        let agent = folder.join(format!("agents/bot-{number}"));
        fs_err::create_dir_all(&agent).map_err(BenchError::files)?;
        let config = agent_config(number, user);
        fs_err::write(agent.join("config.yaml"), config).map_err(BenchError::files)?;
        variables += &format!("{}={number:064x}\n", key_variable(number));
    }
    fs_err::write(folder.join(".env"), variables).map_err(BenchError::files)
}

fn agent_config(number: u32, user: &str) -> String {
    format!(
        "matrix:\n  user_id: \"{user}\"\n  password: \"{PASSWORD}\"\n\
         encryption:\n  pickle_key: \"${{{}}}\"\n\
         behavior:\n  echo: {{ prefix: \"echo: \" }}\n",
        key_variable(number)
    )
}

/// The name of the variable with the pickle key of an agent.
fn key_variable(number: u32) -> String {
    format!("BENCH_PICKLE_KEY_{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bots_count_as_ready_once_however_often_they_say_so() {
        let plain = "ready @a:localhost\nready @b:localhost\nready @a:localhost\n";
        assert_eq!(Program::Plain.ready(plain), 2);
        let launcher = concat!(
            r#"{"level":"INFO","event":"agent_ready","agent":"bot-0"}"#,
            "\n",
            r#"{"level":"WARN","target":"launcher_matrix::login","agent":"bot-1"}"#,
            "\n",
            r#"{"level":"INFO","event":"agent_rea"#,
        );
        assert_eq!(Program::Launcher.ready(launcher), 1);
        assert_eq!(Program::Launcher.troubles(launcher).len(), 1);
    }
}
