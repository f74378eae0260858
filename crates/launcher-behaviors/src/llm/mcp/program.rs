//! A server that is a program of the agent.

use std::{
    future::Future,
    path::Path,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use launcher_core::children::{Limits, Variables};
use rmcp::{RoleClient, transport::async_rw::AsyncRwTransport};
use tokio::{
    net::unix::pipe::{Receiver, Sender},
    time::timeout,
};
use tracing::{info, warn};

use super::guard::{Guarded, LONGEST_LINE};
use crate::{
    child::{self, Child, Line, Lines, Plan, Streams},
    process::{allowance::Allowance, errors::plain},
};

/// The longest line of its standard error that is logged, in bytes.
const LONGEST: usize = 500;

/// How many such lines are logged in [`STRETCH`].
const MOST: u32 = 20;
const STRETCH: Duration = Duration::from_secs(10);

/// How long a program has to end by itself when its input is closed.
const GRACE: Duration = Duration::from_secs(2);

/// How long is waited for how a program ended when it has closed its output.
const REST: Duration = Duration::from_secs(1);

/// How its messages come and go.
pub(super) type Transport = AsyncRwTransport<RoleClient, Guarded<Receiver>, Sender>;

/// A program that runs. Dropping it ends it, with all that it has started.
#[derive(Debug)]
pub(super) struct Program {
    child: Child,
    /// Why it is not read any more.
    refused: Arc<OnceLock<&'static str>>,
}

pub(super) fn plan<'a>(
    run: &'a [String],
    folder: &'a Path,
    variables: &'a Variables,
    limits: &'a Limits,
) -> Plan<'a> {
    Plan { run, folder, variables, limits, streams: Streams::Piped, grace: GRACE }
}

/// Starts it, or says why that is not possible.
pub(super) async fn start(plan: Plan<'_>) -> Result<Program, String> {
    match child::start(plan).await {
        Ok(child) => Ok(Program { child, refused: Arc::default() }),
        Err(error) => Err(format!("the program could not be started: {error}")),
    }
}

impl Program {
    /// Its standard input and output; once.
    pub(super) fn transport(&mut self) -> Option<Transport> {
        let (input, output) = (self.child.input.take()?, self.child.output.take()?);
        let output = Guarded::new(output, self.refused.clone());
        Some(AsyncRwTransport::new(output, input).with_max_line_length(LONGEST_LINE))
    }

    /// Waits for the end of a conversation with it, and says why it ended.
    pub(super) async fn attend(
        &mut self,
        server: &str,
        conversation: impl Future<Output = String>,
    ) -> String {
        let errors = self.child.errors.take();
        let reason = tokio::select! {
            reason = conversation => reason,
            () = log(server, errors) => String::new(),
        };
        if let Some(refused) = self.refused.get() {
            return (*refused).to_owned();
        }
        // How it ended says more than that it did.
        match timeout(REST, self.child.wait()).await {
            Ok(ending) => format!("the program ended: {ending}"),
            Err(_) => reason,
        }
    }

    /// Ends it.
    pub(super) async fn end(self) {
        self.child.kill().await;
    }
}

/// Logs what it writes to its standard error; never ends.
async fn log(server: &str, errors: Option<Receiver>) {
    let Some(errors) = errors else { return std::future::pending().await };
    let mut lines = Lines::new(errors, LONGEST);
    let mut allowance = Allowance::new(MOST, STRETCH);
    while let Ok(Some(Line::Whole(line) | Line::Cut(line))) = lines.next().await {
        if !allowance.take(Instant::now()) {
            continue;
        }
        let left_out = allowance.refused();
        if left_out > 0 {
            warn!(
                event = "tool_server_lines_left_out",
                server,
                count = left_out,
                "a tool server wrote too much to its standard error"
            );
        }
        let line = plain(&String::from_utf8_lossy(&line), LONGEST);
        info!(
            event = "tool_server_line",
            server, line, "a tool server wrote to its standard error"
        );
    }
    std::future::pending().await
}
