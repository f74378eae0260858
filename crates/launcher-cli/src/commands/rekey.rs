//! `launcher rekey`: changes the key under which an agent's files are sealed.
//!
//! Whatever can go wrong about `.env` goes wrong before the agent's files learn
//! of the new key. From then on both keys work, so that nothing is lost where
//! this ends in the middle.

use std::{fmt::Write as _, path::Path};

use anyhow::{Context, anyhow, bail};
use launcher_config::{EnvFileEdit, KeyOrigin, ProcessEnvironment, key_origin, parse_pickle_key};
use launcher_control::wire::Refusal;
use launcher_core::{agent::AgentId, secret::Secret};

use super::wait_for;
use crate::{
    args::Rekey,
    ask,
    configured::Configured,
    exit::{self, Exit, Quit, say},
    progress::patiently,
    way::Purpose,
};

/// What holds until the agent is next started.
const BOTH: &str = "both keys work until the agent is started with the new one";

pub(crate) fn run(options: &Rekey) -> anyhow::Result<Exit> {
    let id = &options.agent.id;
    let configured = Configured::read(&options.agent.files)?;
    let spec = configured.agent(id)?;
    let root = configured.loaded.root.as_ref();
    let origin = root
        .and_then(|root| key_origin(&configured.sources, root, &ProcessEnvironment, id))
        .ok_or_else(|| anyhow!("the files have changed meanwhile; nothing was done"))?;
    let place = place(id, &origin);
    if let (true, Place::ByHand { why, change }) = (options.generate, &place) {
        let action = format!("make a key, give it to `launcher rekey {id}`, and {change}");
        let reason = format!("a new key cannot be written down: {why}; nothing was done");
        return Err(Refusal::new(reason, action).into());
    }
    let text = match options.generate {
        true => generate()?,
        false => ask::secret_from_anywhere(&format!("New pickle key of {id} (64 hex digits): "))?,
    };
    let text = Secret::new(text.expose().trim().to_owned());
    let key = parse_pickle_key(text.expose()).map_err(|error| Quit::usage(error.to_string()))?;
    if key == spec.encryption.pickle_key {
        return Err(Quit::usage(format!("that is the key that {id} has; nothing was done")).into());
    }
    let edit = match &place {
        Place::EnvFile { path, name } => {
            let edit = EnvFileEdit::prepare(path, name, text.expose());
            Some(edit.context("the new key cannot be written down; nothing was done")?)
        }
        Place::ByHand { .. } => None,
    };
    wait_for(async {
        let way = configured.way(spec, Purpose::Change).await?;
        say(&way.describe());
        patiently("giving the agent's files the new key", way.begin_rekey(&key)).await?;
        let Some(edit) = edit else {
            exit::print(&by_hand(&place));
            return Ok(Exit::Done);
        };
        edit.commit().with_context(|| format!("the new key was not written down; {BOTH}"))?;
        say(&format!("{} has the new key; {BOTH}", place.shown()));
        let waiting = format!("waiting until {id} is started with it");
        let done = match patiently(&waiting, way.take_up()).await? {
            Some(_) => format!("{id} is ready with the new key\n"),
            None => format!("the next start of {id} uses the new key\n"),
        };
        exit::print(&done);
        Ok(Exit::Done)
    })
}

/// Where the new key goes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place<'a> {
    /// Into a file with variables, by this command.
    EnvFile { path: &'a Path, name: &'a str },
    /// Where only a person can put it.
    ByHand { why: String, change: String },
}

impl Place<'_> {
    fn shown(&self) -> String {
        match self {
            Self::EnvFile { path, name } => format!("{name} in {}", path.display()),
            Self::ByHand { change, .. } => change.clone(),
        }
    }
}

fn place<'a>(agent: &AgentId, origin: &'a KeyOrigin) -> Place<'a> {
    let at = &origin.place;
    let own = format!("give {agent} a variable of its own, in its config.yaml and in `.env`");
    let Some(variable) = &origin.variable else {
        let why = format!("the key is not a variable at {at}");
        return Place::ByHand { why, change: format!("change the key at {at}") };
    };
    let name = &variable.name;
    if !origin.is_own {
        let why = format!("{name} is the key of every agent that has none of its own ({at})");
        return Place::ByHand { why, change: own };
    }
    if !variable.used_at.is_empty() {
        let why = format!("{name} is also used at {}", variable.used_at.join(", "));
        return Place::ByHand { why, change: own };
    }
    if variable.is_in_environment {
        let why = format!("{name} is set in the environment, which wins over `.env`");
        return Place::ByHand { why, change: format!("change {name} in the environment") };
    }
    match &variable.env_file {
        Some(path) => Place::EnvFile { path, name },
        None => Place::ByHand {
            why: format!("no file sets {name}"),
            change: format!("change {name} where it is set"),
        },
    }
}

fn by_hand(place: &Place<'_>) -> String {
    let Place::ByHand { why, change } = place else { return String::new() };
    format!("the new key works; now {change} ({why})\n{BOTH}\n")
}

/// 64 hex digits by chance.
pub(super) fn generate() -> anyhow::Result<Secret<String>> {
    let mut bytes = [0_u8; 32];
    if getrandom::fill(&mut bytes).is_err() {
        bail!("the system gives no random numbers");
    }
    let bytes = Secret::new(bytes);
    let mut digits = String::with_capacity(64);
    for byte in bytes.expose() {
        write!(digits, "{byte:02x}")?;
    }
    Ok(Secret::new(digits))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use launcher_config::KeyVariable;

    use super::*;

    fn origin() -> KeyOrigin {
        KeyOrigin {
            place: "agents/a/config.yaml:5".to_owned(),
            is_own: true,
            variable: Some(KeyVariable {
                name: "A_KEY".to_owned(),
                is_in_environment: false,
                env_file: Some(PathBuf::from("/x/.env")),
                used_at: Vec::new(),
            }),
        }
    }

    fn with(change: impl FnOnce(&mut KeyVariable)) -> KeyOrigin {
        let mut origin = origin();
        change(origin.variable.as_mut().unwrap());
        origin
    }

    #[test]
    fn a_variable_of_its_own_in_the_env_file_is_written_there() {
        let origin = origin();
        let found = place(&"a".parse().unwrap(), &origin);
        assert_eq!(found, Place::EnvFile { path: Path::new("/x/.env"), name: "A_KEY" });
        assert_eq!(found.shown(), "A_KEY in /x/.env");
    }

    #[test]
    fn everything_else_is_told() {
        for (origin, change) in [
            (KeyOrigin { variable: None, ..origin() }, "change the key at agents/a/config.yaml:5"),
            (with(|key| key.is_in_environment = true), "change A_KEY in the environment"),
            (with(|key| key.env_file = None), "change A_KEY where it is set"),
            (
                with(|key| key.used_at = vec!["agents/b/config.yaml:1".to_owned()]),
                "A_KEY is also used at agents/b/config.yaml:1",
            ),
            (KeyOrigin { is_own: false, ..origin() }, "give a a variable of its own"),
        ] {
            let told = by_hand(&place(&"a".parse().unwrap(), &origin));
            assert!(told.contains(change) && told.contains(BOTH), "{told}");
        }
    }

    #[test]
    fn a_generated_key_is_one() {
        let (one, other) = (generate().unwrap(), generate().unwrap());
        assert_ne!(one, other);
        assert!(parse_pickle_key(one.expose()).is_ok());
    }
}
