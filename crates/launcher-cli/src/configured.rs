//! What the files say, for commands that are about agents.

use std::{path::PathBuf, sync::Arc};

use launcher_config::{Diagnostic, Loaded, ProcessEnvironment, Sources, load, summary};
use launcher_control::wire::Refusal;
use launcher_core::{agent::AgentId, spec::AgentSpec};
use tracing::level_filters::LevelFilter;

use crate::{
    args::{Files, LogFormat},
    commands::check::sources,
    exit::{self, Exit, Quit},
    folder, logging,
    way::{self, Purpose, Tools, Way},
};

/// The files, read, and what is needed to work on the agents in them.
#[derive(Debug)]
pub(crate) struct Configured {
    pub(crate) sources: Sources,
    pub(crate) loaded: Loaded,
    /// That of a launcher on the same configuration.
    pub(crate) own_folder: PathBuf,
    tools: Arc<Tools>,
}

impl Configured {
    /// Reads the files. Fails if the launcher could not start on them.
    pub(crate) fn read(files: &Files) -> anyhow::Result<Self> {
        let sources = sources(files);
        let loaded = load(&sources, &ProcessEnvironment);
        if loaded.root.is_none() {
            return Err(invalid(&loaded.diagnostics).into());
        }
        // What happens on the way is the command's to tell.
        logging::start(LogFormat::Pretty, LevelFilter::WARN);
        let own_folder = folder::of_config(&sources.config);
        Ok(Self { sources, loaded, own_folder, tools: Arc::new(Tools::new()?) })
    }

    /// An agent whose file is valid.
    pub(crate) fn agent(&self, id: &AgentId) -> Result<&AgentSpec, Quit> {
        match self.loaded.agents.get(id) {
            Some(Ok(spec)) => Ok(spec),
            Some(Err(problems)) => Err(invalid(problems)),
            None => Err(Quit::usage(unknown(id, self.loaded.agents.keys()))),
        }
    }

    /// The way to an agent.
    pub(crate) async fn way(
        &self,
        spec: &AgentSpec,
        purpose: Purpose,
    ) -> Result<Box<dyn Way>, Refusal> {
        way::find(spec, &self.own_folder, &self.tools, purpose).await
    }
}

/// The agent that speaks as an account already, going by the files as they are.
pub(crate) fn agent_with(files: &Files, user_id: &str) -> Option<AgentId> {
    // The server's name is one of DNS, the name before it is not.
    let parts = |user: &str| {
        user.split_once(':').map(|(name, server)| (name.to_owned(), server.to_ascii_lowercase()))
    };
    let agents = load(&sources(files), &ProcessEnvironment).agents.into_iter();
    let mut specs = agents.filter_map(|(id, agent)| Some((id, agent.ok()?)));
    let found = specs.find(|(_, spec)| parts(&spec.account.user_id) == parts(user_id));
    found.map(|(id, _)| id)
}

/// Prints what is wrong.
pub(crate) fn invalid(problems: &[Diagnostic]) -> Quit {
    for problem in problems {
        exit::say(&format!("{problem}\n"));
    }
    Quit { exit: Exit::BadConfig, text: format!("{}; nothing was done", summary(problems)) }
}

fn unknown<'a>(id: &AgentId, known: impl Iterator<Item = &'a AgentId>) -> String {
    let known: Vec<&str> = known.map(AgentId::as_str).collect();
    match known.is_empty() {
        true => format!("there is no agent `{id}`, nor any other"),
        false => format!("there is no agent `{id}`; there are: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_agent_is_told_with_the_known_ones() {
        let (a, b, c): (AgentId, AgentId, AgentId) =
            ("a".parse().unwrap(), "b".parse().unwrap(), "c".parse().unwrap());
        let text = unknown(&c, [&a, &b].into_iter());
        assert_eq!(text, "there is no agent `c`; there are: a, b");
        assert_eq!(unknown(&c, [].into_iter()), "there is no agent `c`, nor any other");
    }
}
