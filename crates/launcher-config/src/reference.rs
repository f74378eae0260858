//! Writes the reference for operators from the table of keys.
//!
//! The text becomes `docs/reference/config.md`; a test compares the two, so
//! a key cannot be added without being described.

use crate::schema::{self, Key, Kind, Naming, Presence, Table};

const INTRODUCTION: &str = "\
# Configuration reference

<!-- Made from the tables in crates/launcher-config/src/schema. -->

The launcher reads a root `config.yaml`, a `.env` beside it, and one
`config.yaml` in each agent's folder. `launcher check` reads them too and
prints every problem it finds.

- In any text, `${NAME}` stands for a variable: from the environment, or else
  from `.env`. A variable that is not set is an error. `$${` is a literal `${`.
  Inside `{ }` and `[ ]`, text with a `${NAME}` has to be in quotes.
- Relative paths are relative to the folder of the root `config.yaml`.
- Durations are numbers with units, from `ms`, `s`, `m`, `h`, `d` and `w`:
  `500ms`, `10s`, `1h30m`.
- A key that is not listed here is an error.
- Values of keys marked *secret* are never shown. Keep them in `.env` and
  refer to them.
";

/// `docs/reference/config.md`: every key with its type, default and purpose.
pub fn reference_markdown() -> String {
    let mut text = INTRODUCTION.to_owned();
    text.push_str("\n## The root `config.yaml`\n\nEvery key may be left out.\n");
    overview(&schema::ROOT, &mut text);
    schema::ROOT.iter().for_each(|key| section(key, &mut text));
    text.push_str("\n## `agents/<id>/config.yaml`\n\n");
    text.push_str("The same keys may stand under `defaults` in the root file.\n");
    overview(&schema::AGENT, &mut text);
    schema::AGENT.iter().for_each(|key| section(key, &mut text));
    text
}

fn overview(table: &Table, text: &mut String) {
    text.push_str("\n| key | type | when absent |\n|---|---|---|\n");
    for key in table.iter() {
        let row = format!("| `{}` | {} | {} |\n", key.path, type_name(key.kind), absent(key));
        text.push_str(&row);
    }
}

fn section(key: &Key, text: &mut String) {
    let Key { path, about, example, .. } = key;
    let kind = type_name(key.kind);
    let absent = absent(key);
    text.push_str(&format!(
        "\n### `{path}`\n\n{about}\n\nType: {kind}. When absent: {absent}.\n\n```yaml\n{example}\n```\n"
    ));
}

fn absent(key: &Key) -> &'static str {
    match key.presence {
        Presence::Needed => "an error",
        Presence::Default(value) => value,
    }
}

fn type_name(kind: Kind) -> String {
    let name = match kind {
        Kind::Section => "map",
        Kind::Behaviors => "map with at least one key",
        Kind::Rooms => "map of maps",
        Kind::Occasions => "list of `always`, `direct`, `mentioned`, `thread`",
        Kind::Texts => "list of texts",
        Kind::Rate => "number and duration with `/` between them",
        Kind::Cron => "cron line",
        Kind::TimeZone => "name of a time zone",
        Kind::RoomId => "room id",
        Kind::Decimal => "number",
        Kind::SizeOrOff => "size with a unit, or `off`",
        Kind::QuietHours => "two times of a day and a time zone",
        Kind::AgentKeys => "map of agent keys",
        Kind::Named(Naming::Command) => "map of commands",
        Kind::Named(Naming::Word) => "map of names of your choice",
        Kind::Program => "list of texts, at least one",
        Kind::Flag => "`true` or `false`",
        Kind::Text => "text",
        Kind::Secret => "text, secret",
        Kind::Folder => "path of a folder",
        Kind::Address => "`http` or `https` address",
        Kind::UserId => "user id",
        Kind::UserGlobs => "list of user id patterns",
        Kind::Duration | Kind::CommandTime => "duration",
        Kind::Size => "number of bytes with a unit, such as `256 MiB`",
        Kind::Variables | Kind::Headers => "map of texts, secret",
        Kind::RoomGlobs => "list of room id patterns",
        Kind::SecretAddress => "`http` or `https` address, secret",
        Kind::DurationOrOff => "duration or `off`",
        Kind::SocketAddress => "IP address and port",
        Kind::Number => "whole number",
        Kind::Choice(words) => {
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            return format!("one of {}", words.join(", "));
        }
    };
    name.to_owned()
}
