//! The demo's `.env`: made once with the randomness of the system, and kept.
//!
//! The pickle keys must stay the same, or the agents' stores cannot be read
//! again; the passwords are those of accounts that exist. Only the address of
//! the homeserver may change from run to run.

use std::collections::BTreeMap;

use crate::error::DemoError;

/// The variable with the password of the person; no agent uses it.
pub(crate) const PERSON_PASSWORD: &str = "DEMO_PERSON_PASSWORD";

/// How many random bytes a pickle key has; the launcher demands that many.
const PICKLE_KEY_BYTES: usize = 32;

/// How many random bytes an agent's password has.
const PASSWORD_BYTES: usize = 16;

/// How many random bytes the person's password has: it is typed by hand.
const TYPED_PASSWORD_BYTES: usize = 6;

/// Fills a buffer with random bytes.
type Fill<'a> = &'a mut dyn FnMut(&mut [u8]) -> Result<(), DemoError>;

/// The values of the secret variables, by name.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secrets(BTreeMap<String, String>);

impl Secrets {
    /// Takes what `before`, an earlier `.env`, has, and makes what is missing.
    pub(crate) fn complete(
        before: &str,
        agents: &[&str],
        fill: Fill<'_>,
    ) -> Result<Self, DemoError> {
        let mut wanted = vec![(PERSON_PASSWORD.to_owned(), TYPED_PASSWORD_BYTES)];
        for agent in agents {
            wanted.push((password_variable(agent), PASSWORD_BYTES));
            wanted.push((pickle_key_variable(agent), PICKLE_KEY_BYTES));
        }
        let known = read(before);
        let mut secrets = BTreeMap::new();
        for (name, bytes) in wanted {
            let value = match known.get(name.as_str()) {
                Some(value) => (*value).to_owned(),
                None => random_hex(bytes, fill)?,
            };
            secrets.insert(name, value);
        }
        Ok(Self(secrets))
    }

    /// The value of a variable that [`Self::complete`] made.
    pub(crate) fn value(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// The text of the `.env`.
    pub(crate) fn env_file(&self, homeserver: &str, server_name: &str) -> String {
        let mut text = String::from(
            "# Made by `make demo`. The secrets are kept from run to run; the rest is written anew.\n",
        );
        let variables = [("MATRIX_HOMESERVER", homeserver), ("MATRIX_SERVER_NAME", server_name)];
        let secrets = self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in variables.into_iter().chain(secrets) {
            text.push_str(&format!("{name}={value}\n"));
        }
        text
    }
}

/// The variables that `env_file`, the text of a `.env`, sets.
pub(crate) fn variables(env_file: &str) -> impl Iterator<Item = &str> {
    read(env_file).into_keys()
}

/// The variable with the password of an agent.
pub(crate) fn password_variable(agent: &str) -> String {
    format!("MATRIX_PASSWORD_{}", agent.to_uppercase())
}

fn pickle_key_variable(agent: &str) -> String {
    format!("PICKLE_KEY_{}", agent.to_uppercase())
}

/// Reads what [`Secrets::env_file`] writes, which needs no quotes.
fn read(env_file: &str) -> BTreeMap<&str, &str> {
    let lines = env_file.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs.filter(|(_, value)| !value.is_empty()).collect()
}

fn random_hex(bytes: usize, fill: Fill<'_>) -> Result<String, DemoError> {
    let mut random = vec![0; bytes];
    fill(&mut random)?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Randomness of the system.
pub(crate) fn from_system(buffer: &mut [u8]) -> Result<(), DemoError> {
    getrandom::fill(buffer).map_err(|source| DemoError::Randomness { source })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills the first buffer with ones, the second with twos.
    fn counting() -> impl FnMut(&mut [u8]) -> Result<(), DemoError> {
        let mut count = 0;
        move |buffer| {
            count += 1;
            buffer.fill(count);
            Ok(())
        }
    }

    #[test]
    fn the_first_run_makes_every_secret() {
        let secrets = Secrets::complete("", &["echo"], &mut counting()).unwrap();
        let expected = format!(
            "# Made by `make demo`. The secrets are kept from run to run; the rest is written anew.\n\
             MATRIX_HOMESERVER=http://127.0.0.1:8008\n\
             MATRIX_SERVER_NAME=localhost\n\
             DEMO_PERSON_PASSWORD={}\n\
             MATRIX_PASSWORD_ECHO={}\n\
             PICKLE_KEY_ECHO={}\n",
            "01".repeat(6),
            "02".repeat(16),
            "03".repeat(32),
        );
        assert_eq!(secrets.env_file("http://127.0.0.1:8008", "localhost"), expected);
    }

    #[test]
    fn a_later_run_keeps_the_secrets_and_makes_those_of_a_new_agent() {
        let first = Secrets::complete("", &["echo"], &mut counting()).unwrap();
        let file = first.env_file("http://127.0.0.1:1", "localhost");
        let second = Secrets::complete(&file, &["echo", "parrot"], &mut counting()).unwrap();
        assert_eq!(second.value("PICKLE_KEY_ECHO"), first.value("PICKLE_KEY_ECHO"));
        assert_eq!(second.value(PERSON_PASSWORD), first.value(PERSON_PASSWORD));
        assert_eq!(second.value("PICKLE_KEY_PARROT"), "02".repeat(32));
        let moved = second.env_file("http://127.0.0.1:2", "localhost");
        assert!(moved.contains("MATRIX_HOMESERVER=http://127.0.0.1:2\n"), "{moved}");
    }

    #[test]
    fn an_empty_value_is_made_anew() {
        let secrets = Secrets::complete("PICKLE_KEY_ECHO=\n", &["echo"], &mut counting()).unwrap();
        assert_eq!(secrets.value("PICKLE_KEY_ECHO").len(), 64);
    }

    #[test]
    fn every_variable_of_the_samples_is_in_the_file() {
        let agents = crate::folder::SAMPLES;
        let secrets = Secrets::complete("", &agents, &mut counting()).unwrap();
        let file = secrets.env_file("http://127.0.0.1:1", "localhost");
        let set: Vec<&str> = variables(&file).collect();
        for agent in agents {
            let path = launcher_testbed::testbed_root().join("agents").join(agent);
            let config = fs_err::read_to_string(path.join("config.yaml")).unwrap();
            let used = config.lines().filter(|line| !line.trim_start().starts_with('#'));
            for name in used.filter_map(|line| line.split_once("${")?.1.split('}').next()) {
                assert!(set.contains(&name), "{agent} uses {name}");
            }
        }
    }
}
