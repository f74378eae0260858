//! What whoever makes an agent chooses: by arguments, or at the terminal.
//!
//! Secrets come from variables, from standard input or from the terminal, which
//! does not show them.

use std::io::{self, BufRead};

use anyhow::Context;
use clap::Args;
use launcher_config::RootConfig;
use launcher_control::wire::Refusal;
use launcher_core::{agent::AgentId, names::UserId, secret::Secret};
use launcher_matrix::{
    MatrixConnector,
    registration::{Entrance, Offer, offer},
};
use url::Url;

use super::account;
use crate::{
    ask,
    commands::verify_any::{line, variable},
    exit::Quit,
    table::harmless,
};

/// The ways to an account; one at most.
#[derive(Args, Debug)]
#[group(multiple = false)]
pub(crate) struct Entrances {
    /// Registers where everybody may
    #[arg(long)]
    open: bool,
    /// Registers with the registration token in this variable
    #[arg(long, value_name = "NAME")]
    registration_token_env: Option<String>,
    /// Registers with a registration token, a line of standard input
    #[arg(long)]
    registration_token_stdin: bool,
    /// Registers with Synapse's `registration_shared_secret`, in this variable
    #[arg(long, value_name = "NAME")]
    shared_secret_env: Option<String>,
    /// Registers with Synapse's `registration_shared_secret`, a line of standard input
    #[arg(long)]
    shared_secret_stdin: bool,
    /// Takes an account that exists, with the password in this variable
    #[arg(long, value_name = "NAME")]
    password_env: Option<String>,
    /// Takes an account that exists, with a password from a line of standard input
    #[arg(long)]
    password_stdin: bool,
}

impl Entrances {
    fn takes_existing(&self) -> bool {
        self.password_stdin || self.password_env.is_some()
    }
}

/// How the agent gets its account.
#[derive(Clone, Debug)]
pub(super) enum Choice {
    /// It is there; this is its password.
    Existing(Secret<String>),
    /// It is registered.
    New(Entrance),
}

impl Choice {
    pub(super) async fn make(
        connector: &MatrixConnector,
        server: &Url,
        username: &str,
        given: &Entrances,
    ) -> anyhow::Result<Self> {
        let chosen = if given.open {
            Self::New(Entrance::Open)
        } else if given.registration_token_stdin {
            Self::New(Entrance::Token(line("registration token")?))
        } else if let Some(token) =
            variable("--registration-token-env", given.registration_token_env.as_deref())?
        {
            Self::New(Entrance::Token(token))
        } else if given.shared_secret_stdin {
            Self::New(Entrance::SharedSecret(line("shared secret")?))
        } else if let Some(secret) =
            variable("--shared-secret-env", given.shared_secret_env.as_deref())?
        {
            Self::New(Entrance::SharedSecret(secret))
        } else if given.password_stdin {
            Self::Existing(line("password")?)
        } else if let Some(password) = variable("--password-env", given.password_env.as_deref())? {
            Self::Existing(password)
        } else if ask::can_ask() {
            Self::ask(connector, server, username).await?
        } else {
            return Err(Quit::usage(
                "nobody says how to get the account: --open, --registration-token-env, \
                 --shared-secret-env, or --password-env for one that exists",
            )
            .into());
        };
        Ok(chosen)
    }

    async fn ask(
        connector: &MatrixConnector,
        server: &Url,
        username: &str,
    ) -> anyhow::Result<Self> {
        if ask::confirm(&format!("Does the account `{username}` exist already?"))? {
            return Ok(Self::Existing(ask::secret(&format!("Password of {username}: "))?));
        }
        let entrance = match offer(connector, server).await {
            Ok(Offer { open: true, .. }) => Entrance::Open,
            Ok(Offer { token: true, .. }) => {
                Entrance::Token(ask::secret(&format!("Registration token of {server}: "))?)
            }
            // A closed server still registers for whoever has its secret.
            Ok(_) => Entrance::SharedSecret(shared_secret(server)?),
            Err(error) if error.is_final() => Entrance::SharedSecret(shared_secret(server)?),
            Err(error) => return Err(account::refusal(&error).into()),
        };
        Ok(Self::New(entrance))
    }
}

fn shared_secret(server: &Url) -> anyhow::Result<Secret<String>> {
    ask::secret(&format!("{server} registers nobody openly. Its registration_shared_secret: "))
}

/// The homeserver as it was given, configured or typed.
pub(super) fn homeserver(given: Option<&str>, root: Option<&RootConfig>) -> anyhow::Result<String> {
    let configured = root.and_then(|root| root.homeserver.as_ref()).map(Url::to_string);
    if let Some(known) = given.map(str::to_owned).or(configured) {
        return Ok(known);
    }
    let typed = match ask::can_ask() {
        true => answer("Homeserver (https://…, or the name of the server): ")?,
        false => String::new(),
    };
    match typed.is_empty() {
        true => Err(Quit::usage("nobody says which homeserver: --homeserver https://…").into()),
        false => Ok(typed),
    }
}

/// The account's name: what was given, else the agent's. Whoever sits at a
/// terminal is asked, and offered the name of `earlier`, a run that was cut off.
pub(super) fn username(
    given: Option<&str>,
    id: &AgentId,
    earlier: Option<&str>,
    entrances: &Entrances,
) -> anyhow::Result<String> {
    let usual = || id.to_string();
    let name = match given.map(str::trim) {
        Some(given) if !given.is_empty() => given.to_owned(),
        None if ask::can_ask() && !entrances.takes_existing() => {
            let offered = earlier.map_or_else(usual, str::to_owned);
            let typed = answer(&harmless(&format!("Name of the account [{offered}]: ")))?;
            if typed.is_empty() { offered } else { typed }
        }
        _ => usual(),
    };
    match is_name(&name) {
        true => Ok(name),
        false => Err(Refusal::new(
            "that is not the name of an account",
            "use a-z, 0-9 and . _ = - / +, such as `assistant`; or, for an account that exists, \
             @assistant:example.org",
        )
        .into()),
    }
}

/// Whether this is a localpart (spec, appendix 4.2.1), or a full id.
fn is_name(name: &str) -> bool {
    let plain =
        |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || "._=-/+".contains(char);
    let is_localpart = !name.is_empty() && name.len() < 255 && name.chars().all(plain);
    is_localpart || UserId::typed(name).is_some()
}

fn answer(question: &str) -> anyhow::Result<String> {
    ask::prompt(question);
    let mut typed = String::new();
    io::stdin().lock().read_line(&mut typed).context("reading from the terminal")?;
    Ok(typed.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_accounts_are_localparts_or_full_ids() {
        for good in ["bot", "a.b_c=d-e/f+1", "@bot:hs.test", "@Bot:hs.test:8448"] {
            assert!(is_name(good), "{good}");
        }
        let long = "a".repeat(255);
        for bad in ["", "Bot", "bot:hs", "b ot", "@bot", "\u{e4}", "${X}", &long] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
