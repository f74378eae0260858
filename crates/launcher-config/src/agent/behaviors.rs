//! Reads what an agent does with a message.

use launcher_core::spec::BehaviorSpec;

use super::{commands, llm, robots, schedule};
use crate::{reading::Reading, values::duration::duration, yaml::Node};

/// What is put before an echo when nobody says otherwise.
const ECHO_PREFIX: &str = "echo: ";

/// Every behavior, in the order of the file; `None` if there is none, or
/// something is wrong with one.
pub(super) fn behaviors(reading: &mut Reading<'_>) -> Option<Vec<BehaviorSpec>> {
    let tree = reading.tree();
    let named = tree.at("behavior")?.entries();
    let read: Vec<Option<BehaviorSpec>> = named
        .iter()
        // What is not known has been reported.
        .filter_map(|entry| behavior(reading, &entry.key, &entry.value))
        .collect();
    let all: Option<Vec<BehaviorSpec>> = read.into_iter().collect();
    all.filter(|all| !all.is_empty())
}

/// `None`: there is no behavior of that name. `Some(None)`: it is not right.
fn behavior(reading: &mut Reading<'_>, name: &str, node: &Node) -> Option<Option<BehaviorSpec>> {
    match name {
        "echo" => Some(echo(reading)),
        "commands" => Some(commands::commands(reading, node)),
        "llm" => Some(llm::llm(reading)),
        "schedule" => Some(schedule::schedule(reading, node)),
        "process" => Some(robots::process(reading, node)),
        "webhook" => Some(robots::webhook(reading, node)),
        _ => None,
    }
}

fn echo(reading: &mut Reading<'_>) -> Option<BehaviorSpec> {
    let path = "behavior.echo.prefix";
    let prefix = match reading.tree().at(path) {
        Some(_) => reading.text(path).map(|prefix| prefix.value.value),
        None => Some(ECHO_PREFIX.to_owned()),
    };
    let delay = reading.parsed("behavior.echo.delay", duration).map(|found| found.value);
    let files = reading.flag("behavior.echo.files").is_some_and(|flag| flag.value);
    prefix.map(|prefix| BehaviorSpec::Echo { prefix, delay: delay.unwrap_or_default(), files })
}
