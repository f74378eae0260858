//! `launcher verify --homeserver URL --username U`: signs a device of any account.
//!
//! Secrets come from variables, from standard input or from the terminal, and
//! never from the command line, which everybody on the machine can read.

use std::{
    io::{self, BufRead, IsTerminal, Write},
    path::PathBuf,
};

use anyhow::{Context, bail};
use clap::Args;
use fs_err::{self as fs, os::unix::fs::OpenOptionsExt};
use launcher_config::{Environment, ProcessEnvironment};
use launcher_core::secret::Secret;
use launcher_matrix::{
    MatrixConnector,
    signing::{self, Operator, Signed, Signing},
};
use launcher_runtime::ports::maintenance::MaintenanceError;
use url::Url;

use crate::{
    exit::{self, Exit, say},
    signals,
    table::harmless,
};

/// A device of an account that is no agent.
#[derive(Args, Debug)]
pub(crate) struct VerifyAny {
    /// The account's homeserver, `https://…`
    #[arg(
        long,
        value_name = "URL",
        value_parser = homeserver,
        groups = ["subject", "whose_device"],
        requires = "username"
    )]
    pub(crate) homeserver: Option<Url>,
    /// The account: its localpart or its full id
    #[arg(long, value_name = "USER", requires = "homeserver")]
    username: Option<String>,
    /// The variable with an access token; its device is signed
    #[arg(long = "token-env", alias = "token", value_name = "NAME", requires = "homeserver")]
    token_env: Option<String>,
    /// Reads the access token from a line of standard input
    #[arg(long, conflicts_with = "token_env", requires = "homeserver")]
    token_stdin: bool,
    /// The variable with the account's password
    #[arg(long, value_name = "NAME", requires = "homeserver")]
    password_env: Option<String>,
    /// Reads the password from a line of standard input, after the token's if both are read
    #[arg(long, conflicts_with = "password_env", requires = "homeserver")]
    password_stdin: bool,
    /// The variable with the account's recovery key
    #[arg(long, value_name = "NAME", requires = "homeserver")]
    recovery_key_env: Option<String>,
    /// The device to be signed [default: the token's own, or the only one that is not signed];
    /// after --with, the device of the agent's own account to be verified [default: any]
    #[arg(long, value_name = "ID", requires = "whose_device")]
    pub(crate) device: Option<String>,
    /// Where a new recovery key is saved, if the account has no identity yet; the file must not
    /// exist
    #[arg(long, value_name = "FILE", requires = "homeserver")]
    save_recovery_key: Option<PathBuf>,
}

fn homeserver(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        _ => Err("not an http or https address".to_owned()),
    }
}

pub(crate) fn run(homeserver: &Url, options: &VerifyAny) -> anyhow::Result<Exit> {
    let file = options.save_recovery_key.clone();
    if let Some(file) = file.as_ref().filter(|file| fs::symlink_metadata(file).is_ok()) {
        bail!("{} exists already; a recovery key needs a new file", file.display());
    }
    let secrets = Secrets::gather(options)?;
    let signing = Signing {
        homeserver: homeserver.clone(),
        user: options.username.clone().unwrap_or_default(),
        // With a recovery key that is known already, no new one has to be kept.
        may_create: file.is_some() || secrets.recovery_key.is_some() || io::stdout().is_terminal(),
        token: secrets.token,
        password: secrets.password,
        recovery_key: secrets.recovery_key,
        device: options.device.clone(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        let connector = MatrixConnector::new()?;
        let stop = signals::interrupted()?;
        anyhow::Ok(signing::sign(&connector, signing, &mut Caller { file }, stop).await)
    })?;
    Ok(conclude(done))
}

fn conclude(done: Result<Signed, MaintenanceError>) -> Exit {
    let signed = match done {
        Ok(signed) => signed,
        Err(error) => {
            say(&harmless(&format!("error: {error}")));
            say(&harmless(&format!("do: {}", error.action())));
            return Exit::Failed;
        }
    };
    let lines = [
        ("account", signed.user_id.as_str()),
        ("device", &signed.device_id),
        ("fingerprint", &signed.fingerprint),
        ("signed", if signed.signed { "yes" } else { "no" }),
    ];
    exit::print(&lines.map(|(name, value)| format!("{name:11}  {}\n", harmless(value))).concat());
    if signed.signed {
        return Exit::Done;
    }
    say("error: the homeserver took the signature and does not show it");
    say("do: do it again in a while, or look into the homeserver's log");
    Exit::Failed
}

/// Whoever started the command.
struct Caller {
    file: Option<PathBuf>,
}

impl Operator for Caller {
    fn tell(&mut self, step: &str) {
        say(&harmless(step));
    }

    fn keep(&mut self, recovery_key: &Secret<String>) -> io::Result<()> {
        let Some(path) = &self.file else {
            exit::print(&format!("new recovery key: {}\n", recovery_key.expose()));
            say("write it down and keep it off this machine: it is not shown again");
            return Ok(());
        };
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        writeln!(file, "{}", recovery_key.expose())?;
        file.sync_all()?;
        say(&format!("saved the new recovery key in {}", path.display()));
        Ok(())
    }
}

struct Secrets {
    token: Option<Secret<String>>,
    password: Option<Secret<String>>,
    recovery_key: Option<Secret<String>>,
}

impl Secrets {
    fn gather(options: &VerifyAny) -> anyhow::Result<Self> {
        let token = match options.token_stdin {
            true => Some(line("access token")?),
            false => variable("--token-env", options.token_env.as_deref())?,
        };
        let password = match options.password_stdin {
            true => Some(line("password")?),
            false => variable("--password-env", options.password_env.as_deref())?,
        };
        let recovery_key = variable("--recovery-key-env", options.recovery_key_env.as_deref())?;
        let mut found = Self { token, password, recovery_key };
        if io::stdin().is_terminal() {
            found.ask(options.username.as_deref().unwrap_or_default())?;
        }
        if found.token.is_none() && found.password.is_none() {
            bail!("neither a token nor a password is given (--token-env, --password-env)");
        }
        Ok(found)
    }

    /// Asks for what is missing.
    fn ask(&mut self, user: &str) -> anyhow::Result<()> {
        if self.token.is_none() && self.password.is_none() {
            self.password = typed(&format!("Password of {user}: "))?;
        }
        if self.recovery_key.is_none() {
            let prompt = format!("Recovery key of {user} (nothing if there is none): ");
            self.recovery_key = typed(&prompt)?;
        }
        Ok(())
    }
}

fn typed(prompt: &str) -> anyhow::Result<Option<Secret<String>>> {
    let typed = Secret::new(rpassword::prompt_password(prompt).context("asking on the terminal")?);
    Ok(Some(typed).filter(|typed| !typed.expose().is_empty()))
}

/// The secret in the variable that this option names, if it names one.
///
/// What was typed is not repeated: it may be the secret itself, which everybody
/// on the machine could read by now, and which must not get into a log as well.
pub(super) fn variable(option: &str, name: Option<&str>) -> anyhow::Result<Option<Secret<String>>> {
    let Some(name) = name else { return Ok(None) };
    match ProcessEnvironment.var(name).map(Secret::new) {
        Some(value) if !value.expose().is_empty() => Ok(Some(value)),
        _ if is_constant(name) => bail!("the variable that {option} names is not set, or empty"),
        _ => bail!(
            "{option} takes the name of a variable, such as MATRIX_TOKEN, and no secret: everybody \
             on this machine can read command lines"
        ),
    }
}

/// Whether a name is written as variables are.
fn is_constant(name: &str) -> bool {
    name.chars()
        .all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_')
}

/// A line of standard input; from a terminal it is not shown.
pub(super) fn line(what: &str) -> anyhow::Result<Secret<String>> {
    if io::stdin().is_terminal() {
        return typed(&format!("{what}: "))?.with_context(|| format!("no {what} was given"));
    }
    let mut text = String::new();
    let read = io::stdin().lock().read_line(&mut text);
    let text = Secret::new(text);
    read.with_context(|| format!("reading the {what}"))?;
    let line = Secret::new(text.expose().trim_end_matches(['\r', '\n']).to_owned());
    match line.expose().is_empty() {
        true => bail!("no {what} on standard input"),
        false => Ok(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_homeserver_is_an_http_address() {
        assert!(homeserver("https://matrix.org").is_ok());
        assert!(homeserver("http://127.0.0.1:8008/").is_ok());
        for text in ["matrix.org", "file:///tmp", "mailto:a@b", ""] {
            assert!(homeserver(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_token_that_is_typed_in_place_of_a_name_is_not_repeated() {
        for (typed, why) in [
            ("syt_Ym90_secret", "takes the name of a variable"),
            ("SUMMER2026", "names is not set, or empty"),
            ("NO_SUCH_VARIABLE_HERE", "names is not set, or empty"),
        ] {
            let said = variable("--token-env", Some(typed)).unwrap_err().to_string();
            assert!(!said.contains(typed) && said.contains("--token-env"), "{said}");
            assert!(said.contains(why), "{said}");
        }
    }
}
