//! The `launcher` command: arguments in, exit status out.
//!
//! Reading order: [`args`] (what can be typed), [`commands`] (what it does),
//! [`way`] (how a command gets at an agent), and the edges to the operating
//! system.

mod args;
mod commands;

mod archives;
mod configured;
mod networks;
mod way;

mod ask;
mod exit;
mod explain;
mod facts;
mod folder;
mod limits;
mod logging;
mod move_in;
mod pictures;
mod progress;
mod service;
mod signals;
mod table;
mod units;
mod watch;

#[cfg(test)]
mod reference;

use std::process::ExitCode;

use mimalloc::MiMalloc;

use clap::Parser;

use crate::args::{Arguments, Command};

/// Gives memory back to the system soon after it is freed. The C library's own
/// allocator keeps most of what an agent used before it went to sleep.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // Before anything else: as a child's keeper this is another program.
    if let Some(code) = launcher_behaviors::child::shim::dispatch() {
        return code;
    }
    limits::keep_files_private();
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Command::Run(options) => commands::run::run(&options),
        Command::Check(options) => commands::check::run(&options),
        Command::Status(options) => commands::status::run(&options),
        Command::New(options) => commands::new::run(&options),
        Command::Doctor(options) => commands::doctor::run(&options),
        Command::Explain(options) => commands::explain::run(&options),
        Command::Stores(options) => commands::stores::run(&options),
        Command::Devices(options) => commands::devices::run(&options),
        Command::Reset(options) => commands::reset::run(&options),
        Command::Rekey(options) => commands::rekey::run(&options),
        Command::Recovery(options) => commands::recovery::run(&options),
        Command::Backup(options) => commands::backup::run(&options),
        Command::Restore(options) => commands::restore::run(&options),
        Command::Invites(options) => commands::invites::run(&options),
        Command::Trust(options) => commands::trust::run(&options),
        Command::Verify(options) => commands::verify::run(&options),
        Command::Completions(options) => commands::pages::completions(&options),
        Command::Man(options) => commands::pages::manual(&options),
        Command::Send(options) => commands::send::run(&options),
        Command::Demo(options) => commands::demo::run(&options),
        Command::Chat(options) => commands::chat::run(&options),
        Command::Acknowledge(options) => commands::acknowledge::run(&options),
    };
    done.unwrap_or_else(|error| {
        exit::say_error(&error);
        exit::of_error(&error)
    })
    .into()
}
