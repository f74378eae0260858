//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use launcher_core::agent::AgentId;

use crate::commands::verify_any::VerifyAny;

/// Runs many end-to-end encrypted chat agents in one process, each a folder.
#[derive(Debug, Parser)]
#[command(name = "launcher", version, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs every enabled agent until SIGTERM or SIGINT; a second signal cuts off
    ///
    /// Folders that are added, edited or removed while it runs are started,
    /// restarted or stopped; SIGHUP reads all files again.
    Run(Run),
    /// Reads every file and prints every problem, and starts nothing
    ///
    /// Exits 0 if there is no problem and 78 if there is one.
    Check(Files),
    /// Shows how the running launcher's agents are
    ///
    /// Exits 1 if no launcher runs on this configuration.
    Status(Status),
    /// Signs a device of any account with the account's own keys
    ///
    /// Nothing about the device changes but its signature, and an identity that
    /// the account has is never replaced. Exits 0 only if the homeserver shows
    /// the device as signed.
    #[command(hide = true)]
    VerifyAny(VerifyAny),
}

/// Where the configuration is.
#[derive(Args, Clone, Debug)]
pub(crate) struct Files {
    /// The root configuration file
    #[arg(long, value_name = "FILE", default_value = "config.yaml")]
    pub(crate) config: PathBuf,
    /// The file with the secrets; the environment wins over it
    /// [default: .env beside the root configuration file]
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) files: Files,
    /// Runs only these agents
    #[arg(long, value_name = "ID,…", value_delimiter = ',')]
    pub(crate) only: Vec<AgentId>,
    /// How log lines look [default: log.format of the root configuration file]
    #[arg(long, value_enum)]
    pub(crate) log_format: Option<LogFormat>,
}

#[derive(Args, Debug)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) files: Files,
    /// Prints one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}
