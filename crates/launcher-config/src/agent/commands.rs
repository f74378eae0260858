//! Reads the behavior `commands`.

use std::{collections::BTreeMap, time::Duration};

use launcher_core::spec::{BehaviorSpec, CommandSpec, Requirement};

use crate::{
    reading::Reading,
    values::{command, user_id},
    yaml::Node,
};

/// Where an agent's commands are.
pub(super) const COMMANDS: &str = "behavior.commands";

/// How long a command may take when nobody says otherwise.
const COMMAND_TIME: Duration = Duration::from_secs(30);

/// Every command, or `None` if there is something wrong with one.
pub(super) fn commands(reading: &mut Reading<'_>, node: &Node) -> Option<BehaviorSpec> {
    let mut commands = BTreeMap::new();
    for entry in node.entries() {
        let prefix = shown_command(reading, &entry.key);
        let mut below = reading.below(&entry.value, &prefix);
        let command = read_command(&mut below);
        reading.found.append(&mut below.found);
        commands.insert(entry.key.clone(), command);
    }
    let all: Option<BTreeMap<String, CommandSpec>> =
        commands.into_iter().map(|(name, command)| Some((name, command?))).collect();
    all.filter(|commands| !commands.is_empty()).map(|commands| BehaviorSpec::Commands { commands })
}

fn read_command(reading: &mut Reading<'_>) -> Option<CommandSpec> {
    let requirements = [("trusted", Requirement::Trusted), ("verified", Requirement::Verified)];
    let run = reading.list("run", command::argument);
    let users = reading.list("users", user_id::user_glob);
    let require = reading.choice("require", &requirements);
    let timeout = reading.parsed("timeout", command::time).map(|found| found.value);
    let run = run?;
    if run.first().is_none_or(String::is_empty) {
        let node = reading.tree().at("run")?;
        let label = "write `[\"program\", \"argument\"]`";
        reading.report("run", &node.place, "there is no program", label);
        return None;
    }
    Some(CommandSpec {
        run,
        users: users.unwrap_or_else(|| vec!["*".to_owned()]),
        require: require.unwrap_or_default(),
        timeout: timeout.unwrap_or(COMMAND_TIME),
    })
}

/// The path of a command as it is shown.
fn shown_command(reading: &Reading<'_>, name: &str) -> String {
    reading.shown_path(&format!("{COMMANDS}.{}", command::shown(name)))
}
