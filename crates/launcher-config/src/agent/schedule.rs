//! Reads the behavior `schedule`.

use std::{collections::BTreeMap, time::Duration};

use launcher_core::{
    names::RoomId,
    spec::{BehaviorSpec, Missed, ScheduleSpec, Scheduled},
};

use super::commands::COMMANDS;
use crate::{
    reading::Reading,
    values::{Fault, command::shown, cron::cron, duration::duration, time_zone::time_zone},
    yaml::Node,
};

/// How long a missed task may still be done when nobody says otherwise.
const WITHIN: Duration = Duration::from_secs(86_400);

/// The keys that say what is done.
const WHAT: [&str; 3] = ["say", "command", "prompt"];

/// Every task, or `None` if there is something wrong with one.
pub(super) fn schedule(reading: &mut Reading<'_>, node: &Node) -> Option<BehaviorSpec> {
    let commands = reading.tree().at(COMMANDS).map(Node::entries).unwrap_or_default();
    let commands: Vec<&str> = commands.iter().map(|entry| entry.key.as_str()).collect();
    let mut entries = BTreeMap::new();
    for entry in node.entries() {
        let prefix = reading.shown_path(&format!("behavior.schedule.{}", shown(&entry.key)));
        let mut below = reading.below(&entry.value, &prefix);
        let task = task(&mut below, &entry.value, &commands);
        reading.found.append(&mut below.found);
        entries.insert(entry.key.clone(), task);
    }
    let all: Option<BTreeMap<String, ScheduleSpec>> =
        entries.into_iter().map(|(name, task)| Some((name, task?))).collect();
    all.map(|entries| BehaviorSpec::Schedule { entries })
}

fn task(reading: &mut Reading<'_>, node: &Node, commands: &[&str]) -> Option<ScheduleSpec> {
    for (key, example) in
        [("cron", "write `cron: \"0 9 * * *\"`"), ("room", "write `room: \"!…:example.org\"`")]
    {
        if reading.tree().at(key).is_none() {
            reading.report(key, &node.place, "this key is missing", example);
        }
    }
    let line = reading.parsed("cron", cron);
    let timezone = reading
        .parsed("timezone", |name| time_zone(name).map(|()| name.to_owned()))
        .map(|found| found.value);
    let room = reading.parsed("room", |text| {
        RoomId::typed(text).ok_or_else(|| {
            Fault::new("is not a room id").label("clients show it in the room's settings")
        })
    });
    let within = reading.parsed("within", duration).map_or(WITHIN, |found| found.value);
    let policies = [("once", Missed::Once { within }), ("skip", Missed::Skip)];
    let missed = reading.choice("missed", &policies).unwrap_or(Missed::Once { within });
    let what = what(reading, node, commands);
    Some(ScheduleSpec {
        cron: line?.value,
        timezone: timezone.unwrap_or_else(|| "UTC".to_owned()),
        room: room?.value,
        what: what?,
        missed,
    })
}

fn what(reading: &mut Reading<'_>, node: &Node, commands: &[&str]) -> Option<Scheduled> {
    let there: Vec<&str> =
        WHAT.into_iter().filter(|key| reading.tree().at(key).is_some()).collect();
    let [key] = there.as_slice() else {
        let message = "exactly one of `say`, `command` and `prompt` is needed";
        reading.report("", &node.place, message, "");
        return None;
    };
    let text = reading.text(key)?;
    let (text, place) = (text.value.value, text.place);
    let name = text.split_whitespace().next().unwrap_or_default();
    if *key == "command" && !commands.contains(&name) {
        let label = "name one of `behavior.commands`, with what follows it";
        reading.report(key, &place, "this is not a command of the agent", label);
        return None;
    }
    Some(if *key == "say" { Scheduled::Say(text) } else { Scheduled::Ask(text) })
}
