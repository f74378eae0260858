//! `launcher chat`: a person's encrypted chat on a Messager, in the terminal.

pub(crate) mod place;
mod shown;
mod talk;
pub(crate) mod terminal;
mod typed;

use std::path::Path;

use anyhow::Context;
use launcher_config::{Environment, ProcessEnvironment};
use launcher_core::{fault::Fault, secret::Secret};
use launcher_messager::client::{Client, Connections};
use launcher_runtime::locks;
use tracing::level_filters::LevelFilter;
use url::Url;

pub(crate) use self::talk::Talk;
use self::{place::Account, terminal::Terminal};
use super::wait_for;
use crate::{
    args::{Chat, LogFormat},
    ask,
    exit::{Exit, Quit},
    logging, signals,
};

pub(crate) fn run(options: &Chat) -> anyhow::Result<Exit> {
    let folder = match &options.data {
        Some(folder) => folder.clone(),
        None => place::usual()?,
    };
    logging::start(LogFormat::Pretty, LevelFilter::ERROR);
    let _lock = lock(&folder)?;
    let begun = begin(options, &folder)?;
    wait_for(async {
        let interrupted = signals::interrupted()?;
        let talking = async {
            let account = begun.account(&folder).await?;
            let mut talk = Talk::open(&account, &folder, Terminal::open()?).await?;
            if let Some(name) = &options.with {
                talk.begin_with(name).await?;
            }
            talk.run().await
        };
        tokio::select! {
            done = talking => done,
            () = interrupted => Ok(Exit::Done),
        }
    })
}

/// Keeps other chats off the folder.
fn lock(folder: &Path) -> anyhow::Result<fs_err::File> {
    locks::lock_folder(folder).map_err(|fault| match fault {
        Fault::StoreLocked { .. } => {
            anyhow::anyhow!("{fault}: another chat runs in {}", folder.display())
        }
        fault => anyhow::anyhow!("{fault}"),
    })
}

/// How a chat begins.
enum Begun {
    Kept(Account),
    /// The first time. What is wrong with it is found out before it is kept.
    New {
        server: Url,
        token: Secret<String>,
    },
}

impl Begun {
    async fn account(self, folder: &Path) -> anyhow::Result<Account> {
        match self {
            Self::Kept(account) => Ok(account),
            Self::New { server, token } => {
                Client::new(&Connections::new()?, server.clone(), token.clone()).me().await?;
                place::make(folder, server, token).context("keeping the account")
            }
        }
    }
}

/// Who somebody is: as it was kept, or as the options say the first time.
fn begin(options: &Chat, folder: &Path) -> anyhow::Result<Begun> {
    let (given, kept) = (&options.server, place::read(folder)?);
    match (kept, given) {
        (Some(kept), Some(given)) if kept.server != *given => Err(Quit::usage(format!(
            "the chat in {} is on {}; give another one a folder of its own with --data",
            folder.display(),
            kept.server
        ))
        .into()),
        (Some(kept), _) => Ok(Begun::Kept(kept)),
        (None, Some(server)) => {
            if !matches!(server.scheme(), "http" | "https") || !server.username().is_empty() {
                return Err(Quit::usage("--server takes an address such as https://chat.example.org").into());
            }
            Ok(Begun::New { server: server.clone(), token: token(options)? })
        }
        (None, None) => Err(Quit::usage(format!(
            "there is no chat in {} yet: begin one with --server URL and a token of `messager account add`",
            folder.display()
        ))
        .into()),
    }
}

fn token(options: &Chat) -> anyhow::Result<Secret<String>> {
    let Some(variable) = &options.token_env else {
        if !ask::can_ask() {
            return Err(
                Quit::usage("name the variable with the token: --token-env VARIABLE").into()
            );
        }
        let typed =
            ask::secret("token (`messager account add` prints it; it is not shown here): ")?;
        return Ok(Secret::new(typed.expose().trim().to_owned()));
    };
    match ProcessEnvironment.var(variable).filter(|token| !token.trim().is_empty()) {
        Some(token) => Ok(Secret::new(token.trim().to_owned())),
        None => Err(Quit::usage(format!("--token-env: the variable {variable} is not set")).into()),
    }
}
