//! Reads the behaviors that leave it to somebody else what is said: `process`
//! and `webhook`.

use launcher_core::spec::{BehaviorSpec, ProcessSpec, WebhookSpec};

use super::children;
use crate::{
    reading::Reading,
    values::{Fault, address, command, limit, signing_key::signing_key},
    yaml::Node,
};

/// Where they are.
pub(super) const PROCESS: &str = "behavior.process";
pub(super) const WEBHOOK: &str = "behavior.webhook";

/// A program.
pub(super) fn process(reading: &mut Reading<'_>, node: &Node) -> Option<BehaviorSpec> {
    let prefix = reading.shown_path(PROCESS);
    let mut below = reading.below(node, &prefix);
    let spec = read_process(&mut below);
    reading.found.append(&mut below.found);
    spec.map(BehaviorSpec::Process)
}

fn read_process(reading: &mut Reading<'_>) -> Option<ProcessSpec> {
    let run = children::program(reading);
    let timeout = reading.parsed("timeout", command::time).map(|found| found.value);
    let at_once = reading.parsed("at_once", limit::at_once).map(|found| found.value);
    let (folder, variables) = (children::folder(reading), children::variables(reading));
    let limits = children::limits(reading);
    let default = ProcessSpec::running(run?);
    Some(ProcessSpec {
        folder,
        variables,
        limits,
        timeout: timeout.unwrap_or(default.timeout),
        at_once: at_once.unwrap_or(default.at_once),
        run: default.run,
    })
}

/// A URL.
pub(super) fn webhook(reading: &mut Reading<'_>, node: &Node) -> Option<BehaviorSpec> {
    let prefix = reading.shown_path(WEBHOOK);
    let mut below = reading.below(node, &prefix);
    let url = below.secret("url", address::webhook);
    let key = below.secret("signing_key", signing_key);
    let timeout = below.parsed("timeout", request_time).map(|found| found.value);
    reading.found.append(&mut below.found);
    Some(BehaviorSpec::Webhook(WebhookSpec {
        url: url?,
        signing_key: key,
        timeout: timeout.unwrap_or(WebhookSpec::TIMEOUT),
    }))
}

/// A duration that a request may take.
fn request_time(text: &str) -> Result<std::time::Duration, Fault> {
    let time = crate::values::duration::duration(text)?;
    if time < WebhookSpec::SHORTEST_TIMEOUT {
        Err(Fault::new("is too short").label("at least `1s`"))
    } else if time > WebhookSpec::LONGEST_TIMEOUT {
        Err(Fault::new("is too long").label("at most `45s`"))
    } else {
        Ok(time)
    }
}
