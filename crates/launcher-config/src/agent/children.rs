//! Reads what programs that are started for an agent get.

use std::{collections::BTreeMap, path::PathBuf};

use launcher_core::{
    children::{Limits, Variables},
    secret::Secret,
};

use crate::{
    reading::Reading,
    values::{Fault, address, command, limit},
    yaml::Value,
};

/// A program and its arguments; `None` if there is none.
pub(super) fn program(reading: &mut Reading<'_>) -> Option<Vec<String>> {
    let run = reading.list("run", command::argument)?;
    if run.first().is_none_or(String::is_empty) {
        let node = reading.tree().at("run")?;
        let label = "write `[\"program\", \"argument\"]`";
        reading.report("run", &node.place, "there is no program", label);
        return None;
    }
    Some(run)
}

/// The limits; what is not said is as by default.
pub(super) fn limits(reading: &mut Reading<'_>) -> Limits {
    let default = Limits::default();
    let memory = reading.parsed("limits.memory", limit::memory);
    let processes = reading.parsed("limits.processes", limit::processes);
    let cpu = reading.parsed("limits.cpu", limit::cpu);
    let open_files = reading.parsed("limits.open_files", limit::open_files);
    Limits {
        memory: memory.map_or(default.memory, |found| found.value),
        processes: processes.map_or(default.processes, |found| found.value),
        cpu: cpu.map(|found| found.value),
        open_files: open_files.map_or(default.open_files, |found| found.value),
    }
}

/// The variables.
pub(super) fn variables(reading: &mut Reading<'_>) -> Variables {
    let allow = reading.list("environment.allow", limit::variable).unwrap_or_default();
    let set = secrets(reading, "environment.set", limit::variable, value);
    Variables { allow, set: set.unwrap_or_default() }
}

/// Where it works, as it is written.
pub(super) fn folder(reading: &mut Reading<'_>) -> PathBuf {
    let folder = reading.parsed("folder", address::folder);
    folder.map(|found| found.value.into()).unwrap_or_default()
}

/// A map of secrets, with names that a function accepts.
pub(super) fn secrets(
    reading: &mut Reading<'_>,
    path: &str,
    name: impl Fn(&str) -> Result<(), Fault>,
    value: impl Fn(&str) -> Result<Secret<String>, Fault>,
) -> Option<BTreeMap<String, Secret<String>>> {
    let node = reading.tree().at(path)?;
    if !matches!(node.value, Value::Map(_) | Value::Null) {
        let message = format!("expected a map, found {}", node.kind());
        reading.report(path, &node.place, message, "write `{ NAME: \"value\" }`");
        return None;
    }
    let mut set = BTreeMap::new();
    for entry in node.entries() {
        if let Err(fault) = name(&entry.key) {
            let message = format!("this {}", fault.predicate);
            reading.report(path, &entry.key_place, message, fault.label);
        } else if let Some(value) = reading.secret(&format!("{path}.{}", entry.key), &value) {
            set.insert(entry.key.clone(), value);
        }
    }
    Some(set)
}

fn value(text: &str) -> Result<Secret<String>, Fault> {
    match text.contains('\0') {
        true => Err(Fault::new("cannot be given to a program: it has a NUL character")),
        false => Ok(Secret::new(text.to_owned())),
    }
}
