//! What can be typed.

use std::{net::SocketAddr, num::NonZeroU32, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use reqwest::Url;
use tracing::level_filters::LevelFilter;

/// A chat service whose server carries ciphertext.
#[derive(Debug, Parser)]
#[command(name = "messager", version, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the server until SIGTERM or SIGINT.
    Serve(Serve),
    /// Accounts.
    #[command(subcommand)]
    Account(Account),
    /// Prints what makes a shell complete these commands.
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Prints the manual page, or writes those of all commands.
    Man {
        /// Writes a page for each command into this folder.
        #[arg(long, short, value_name = "DIR")]
        output: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The folder with everything that is kept; made if it is not there.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8447")]
    pub listen: SocketAddr,
    /// Where each push is sent to, as the JSON of a POST.
    #[arg(long, value_name = "URL", value_parser = web)]
    pub push_webhook: Option<Url>,
    /// Looks at links in messages that are not encrypted, and tells what is there.
    #[arg(long)]
    pub link_previews: bool,
    /// How often an account may write in a minute.
    #[arg(long, value_name = "N", default_value = "6000")]
    pub writes_per_minute: NonZeroU32,
    /// How often an account may take one-time keys of another in a minute.
    #[arg(long, value_name = "N", default_value = "300")]
    pub claims_per_minute: NonZeroU32,
    /// How many days envelopes and one-time keys stay that are done with.
    #[arg(long, value_name = "DAYS", default_value = "30")]
    pub keep_days: u16,
    /// How many connections there are at once; three quarters can be websockets.
    #[arg(long, value_name = "N", default_value = "4096")]
    pub connections: NonZeroU32,
    /// What log lines look like; pretty on a terminal, JSON elsewhere.
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// What is logged: error, warn, info or debug.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log_level: LevelFilter,
}

fn web(text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|error| format!("{error}"))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        _ => Err("has to begin with http:// or https://".to_owned()),
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Pretty,
    /// One object a line.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Account {
    /// Makes an account, or adds a device to one, and prints its token once.
    Add(Add),
    /// Lists accounts with their devices; never tokens.
    List(List),
    /// Takes its token from a device for good, and its keys out of use.
    Revoke(Revoke),
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// The account's name: letters a to z, digits, dashes, dots and underscores.
    pub name: String,
    /// The folder of the server, which may be running.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// What people call the device.
    #[arg(long, value_name = "LABEL")]
    pub device: Option<String>,
    /// Prints one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// The folder of the server, which may be running.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Prints one JSON array.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// The account's name.
    pub name: String,
    /// The folder of the server, which may be running.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// The device, by its id: `account list` has them.
    #[arg(long, value_name = "ID")]
    pub device: String,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_push_webhook_is_a_web_address() {
        web("https://example.org/push").unwrap();
        for wrong in ["", "example.org", "file:///etc/passwd"] {
            web(wrong).unwrap_err();
        }
    }
}
