//! Runs a program that ends with the demo, however the demo ends.
//!
//! The system can send a process a signal when its parent is gone, but only
//! the process itself can ask for that. So the demo starts itself with
//! [`FLAG`]; that copy asks, and then becomes the program.

use std::{
    env, io,
    os::unix::process::CommandExt,
    path::Path,
    process::{self, Command, ExitCode},
};

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use crate::progress::complain;

/// The first argument of a copy that is to become another program.
pub(crate) const FLAG: &str = "--become";

/// What a shell says of a program that cannot be run.
const CANNOT_RUN: u8 = 127;

/// A command for `program` that gets SIGTERM when this process is gone.
///
/// It must be spawned from the main thread: the system means the thread that
/// spawned when it says parent.
pub(crate) fn bound_command(program: &Path) -> io::Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.args([FLAG, &process::id().to_string()]).arg(program);
    Ok(command)
}

/// Does what [`bound_command`] promised. Returns only if that fails.
pub(crate) fn become_program(arguments: &[&str]) -> ExitCode {
    let [parent, program, rest @ ..] = arguments else {
        return ExitCode::from(2);
    };
    let asked = set_parent_process_death_signal(Some(Signal::TERM));
    let alive = getppid().is_some_and(|pid| pid.as_raw_nonzero().to_string() == *parent);
    if !alive {
        // The parent ended before the question was asked, so no signal comes.
        return ExitCode::FAILURE;
    }
    let error = match asked {
        Ok(()) => Command::new(program).args(rest).exec(),
        Err(errno) => errno.into(),
    };
    complain(format!("running {program}: {error}"));
    ExitCode::from(CANNOT_RUN)
}
