//! Reads the behavior `commands`.

use std::collections::BTreeMap;

use launcher_core::{
    commands::template::Template,
    spec::{BehaviorSpec, CommandSpec, Confirmation, OutputForm, Requirement, StatusShown},
};

use super::{children, parameters};
use crate::{
    reading::Reading,
    values::{command, limit, user_id},
    yaml::Node,
};

/// Where an agent's commands are.
pub(super) const COMMANDS: &str = "behavior.commands";

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
    let outputs =
        [("block", OutputForm::Block), ("file", OutputForm::File), ("text", OutputForm::Text)];
    let statuses = [("failure", StatusShown::Failure), ("always", StatusShown::Always)];
    let default = CommandSpec::running(&[]);
    let about = reading.parsed("about", command::about).map(|found| found.value);
    let run = children::program(reading);
    let parameters = parameters::parameters(reading);
    let users = reading.list("users", user_id::user_glob);
    let rooms = reading.list("rooms", command::room_glob);
    let require = reading.choice("require", &requirements);
    let confirm = confirmation(reading);
    let timeout = reading.parsed("timeout", command::time).map(|found| found.value);
    let folder = children::folder(reading);
    let variables = children::variables(reading);
    let output = reading.choice("output", &outputs);
    let status = reading.choice("status", &statuses);
    let at_once = reading.parsed("at_once", limit::at_once).map(|found| found.value);
    let limits = children::limits(reading);
    let run: Vec<Template> = run?.iter().map(|argument| Template::parse(argument)).collect();
    parameters::check(&run, reading);
    Some(CommandSpec {
        about,
        run,
        parameters,
        users: users.unwrap_or(default.users),
        rooms: rooms.unwrap_or(default.rooms),
        require: require.unwrap_or_default(),
        confirm,
        timeout: timeout.unwrap_or(default.timeout),
        folder,
        variables,
        output: output.unwrap_or_default(),
        status: status.unwrap_or_default(),
        at_once: at_once.unwrap_or(default.at_once),
        limits,
    })
}

/// Who has to agree: the sender, or those who are named.
fn confirmation(reading: &mut Reading<'_>) -> Option<Confirmation> {
    let wanted = reading.flag("confirm");
    let users = reading.list("confirm_by", user_id::user_glob);
    if let (Some(wanted), Some(_)) = (&wanted, &users)
        && !wanted.value
    {
        let message = "nobody is asked, and `confirm_by` says who";
        reading.report("confirm", &wanted.place, message, "remove one of them");
    }
    let asked = wanted.map_or(users.is_some(), |flag| flag.value);
    asked.then_some(Confirmation { users })
}

/// The path of a command as it is shown.
fn shown_command(reading: &Reading<'_>, name: &str) -> String {
    reading.shown_path(&format!("{COMMANDS}.{}", command::shown(name)))
}
