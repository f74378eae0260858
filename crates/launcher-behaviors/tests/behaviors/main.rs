//! Behaviors with what is around them: programs that they start, and addresses
//! that they ask.
//!
//! This program is started anew for each program, as the launcher's own is, so
//! it cannot be the usual harness: what is first in its `main` has to be first
//! in the launcher's, too.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod agents;
mod bombs;
mod commands;
mod ending;
mod logged;
mod processes;
#[path = "../../src/props.rs"]
mod props;
mod robots;
mod starting;
mod tools;
mod webhooks;

use std::{future::Future, process::ExitCode};

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    if let Some(code) = launcher_behaviors::child::shim::dispatch() {
        return code;
    }
    if let Some(mark) = std::env::var_os(ending::FOSTER) {
        return ending::be_a_launcher(&mark.to_string_lossy());
    }
    logged::begin();
    let trials = [
        starting::cases(),
        ending::cases(),
        bombs::cases(),
        commands::cases(),
        robots::cases(),
        tools::cases(),
        webhooks::cases(),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials.into_iter().flatten().collect()).exit_code()
}

/// A case that fails by panicking.
fn case<F: Future<Output = ()> + 'static>(name: &str, case: fn() -> F) -> Trial {
    Trial::test(name, move || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(case());
        Ok(())
    })
}
