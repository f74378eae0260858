//! One run of a command, until it ends or its time is up.

use std::{fmt, io, path::Path, time::Duration};

use launcher_core::{commands::call::Call, spec::CommandSpec};
use tokio::{
    io::AsyncReadExt,
    net::unix::pipe::Receiver,
    time::{Instant, timeout},
};

use super::output::Output;
use crate::child::{self, Child, Plan, Streams};

/// How long to go on reading after a command has ended. Nothing that it has
/// started is left then, so there is only what is in the pipe.
const REST: Duration = Duration::from_millis(500);

/// A run that is over.
pub(super) struct Finished {
    pub(super) ending: Ending,
    pub(super) output: Output,
    pub(super) took: Duration,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Without being told to.
    Ended(child::Ending),
    /// It was killed because its time was up.
    TimedOut,
}

impl Ending {
    /// Whether the command says that it did what it should.
    pub(super) fn is_good(self) -> bool {
        self == Self::Ended(child::Ending::Exited(0))
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(ending) => ending.fmt(formatter),
            Self::TimedOut => formatter.write_str("timed out"),
        }
    }
}

/// Runs a command in `folder` until it ends or its time is up; then it is
/// ended, with everything that it has started.
///
/// # Errors
///
/// It could not be started.
///
/// # Cancel safety
///
/// Dropping this ends the command in the same way.
pub(super) async fn run(command: &CommandSpec, call: &Call, folder: &Path) -> io::Result<Finished> {
    let started = Instant::now();
    let mut child = child::start(Plan {
        run: &call.run,
        folder,
        variables: &command.variables,
        limits: &command.limits,
        streams: Streams::Joined,
        grace: Duration::ZERO,
    })
    .await?;
    let mut output = Output::of(command.output);
    let written = child.output.take();
    let followed = timeout(command.timeout, follow(&mut child, written, &mut output)).await;
    let ending = match followed {
        Ok(ending) => Ending::Ended(ending),
        Err(_) => {
            child.kill().await;
            Ending::TimedOut
        }
    };
    Ok(Finished { ending, output, took: started.elapsed() })
}

/// Reads what it writes until it has ended.
async fn follow(
    child: &mut Child,
    written: Option<Receiver>,
    output: &mut Output,
) -> child::Ending {
    let Some(mut written) = written else { return child.wait().await };
    let mut buffer = [0; 4096];
    loop {
        tokio::select! {
            read = written.read(&mut buffer) => {
                if !take(read, &buffer, output) {
                    return child.wait().await;
                }
            }
            ending = child.wait() => {
                let rest = async {
                    while take(written.read(&mut buffer).await, &buffer, output) {}
                };
                drop(timeout(REST, rest).await);
                return ending;
            }
        }
    }
}

/// Keeps what was read. `false`: there will be no more.
fn take(read: io::Result<usize>, buffer: &[u8], output: &mut Output) -> bool {
    match read {
        Ok(0) | Err(_) => false,
        Ok(count) => {
            output.add(buffer.get(..count).unwrap_or_default());
            true
        }
    }
}
