//! The `launcher` command: arguments in, exit status out.
//!
//! Reading order: [`args`] (what can be typed), [`commands`] (what it does),
//! and the edges to the operating system.

mod args;
mod commands;
mod exit;
mod folder;
mod limits;
mod logging;
mod signals;
mod watch;

#[cfg(test)]
mod reference;

use std::process::ExitCode;

use mimalloc::MiMalloc;

use clap::Parser;

use crate::{
    args::{Arguments, Command},
    exit::Exit,
};

/// Gives memory back to the system soon after it is freed. The C library's own
/// allocator keeps most of what an agent used before it went to sleep.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    limits::keep_files_private();
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Command::Run(options) => commands::run::run(&options),
        Command::Check(options) => commands::check::run(&options),
        Command::Status(options) => commands::status::run(&options),
        Command::VerifyAny(options) => commands::verify_any::run(&options),
    };
    done.unwrap_or_else(|error| {
        exit::say_error(&error);
        Exit::Failed
    })
    .into()
}
