//! What can be typed behind `launcher demo` and `launcher chat`.

use std::path::PathBuf;

use clap::Args;
use launcher_core::agent::AgentId;
use url::Url;

use super::{Files, NoFiles};

#[derive(Args, Debug)]
pub(crate) struct Demo {
    #[command(flatten)]
    pub(crate) files: Files,
    /// Shows this agent of `agents/`, with another account, other keys and
    /// without its data [default: a sample that echoes]
    #[arg(long, value_name = "ID")]
    pub(crate) agent: Option<AgentId>,
    /// Keeps everything in this folder and goes on there the next time
    /// [default: a folder that is removed at the end]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct Chat {
    #[command(flatten)]
    _files: NoFiles,
    /// Opens the encrypted chat with this account, by its name
    #[arg(value_name = "NAME")]
    pub(crate) with: Option<String>,
    /// The Messager, the first time
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<Url>,
    /// The variable that the token is in, the first time
    #[arg(long, value_name = "VARIABLE")]
    pub(crate) token_env: Option<String>,
    /// The folder of the chat, one for each account
    /// [default: launcher/chat in the folder for the data of programs]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}
