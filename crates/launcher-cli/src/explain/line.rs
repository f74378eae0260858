//! What one line of a pasted text says.
//!
//! It can be a line of the launcher's log in either format, with whatever a
//! service manager puts in front of it, a line of `launcher status`, an error
//! of a command, or anything else that an operator has in front of them.

use std::collections::BTreeMap;

use launcher_core::agent::AgentId;
use serde_json::Value;

/// The states of `launcher status`, after an agent's name.
pub(super) const STATES: [&str; 7] =
    ["starting", "running", "degraded", "backoff", "parked", "stopping", "stopped"];

/// How many words a row of `launcher status` has at least.
const ROW: usize = 7;

/// Fields that say what helps. They name other things than what happened.
const ADVICE: [&str; 3] = ["action", "do", "hint"];

/// One line.
#[derive(Debug, Default)]
pub(crate) struct Line {
    fields: BTreeMap<String, String>,
    folded: String,
    agent: Option<AgentId>,
}

/// Where in a text the next line stands.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// The agent of the last row of `launcher status`.
    agent: Option<AgentId>,
}

impl Place {
    /// The next line, if it says what happened.
    pub(crate) fn line(&mut self, text: &str) -> Option<Line> {
        let mut words = text.split_whitespace();
        let first = words.next()?;
        if ADVICE.iter().any(|name| first.strip_suffix(':') == Some(name)) {
            return None;
        }
        let is_row = words.next().is_some_and(|word| STATES.contains(&word));
        if is_row
            && text.split_whitespace().count() >= ROW
            && let Ok(agent) = first.parse()
        {
            self.agent = Some(agent);
            return None;
        }
        let mut line = Line::parse(text);
        match first {
            "why:" => line.agent = line.agent.or_else(|| self.agent.clone()),
            _ => self.agent = None,
        }
        Some(line)
    }
}

impl Line {
    /// Takes a line apart.
    pub(crate) fn parse(text: &str) -> Self {
        let text = without_colors(text);
        let object = text.find('{').and_then(|start| {
            let rest = text.get(start..)?.trim_end();
            serde_json::from_str::<Value>(rest).ok().filter(Value::is_object)
        });
        let (fields, said) = match object {
            Some(object) => {
                let mut fields = BTreeMap::new();
                flatten("", &object, &mut fields);
                let said = fields
                    .iter()
                    .filter(|(name, _)| !ADVICE.contains(&name.as_str()))
                    .map(|(name, value)| format!("{name}={value}"));
                let said = said.collect::<Vec<_>>().join(" ");
                (fields, said)
            }
            None => (pairs(&text), text),
        };
        let agent = fields.get("agent").and_then(|id| id.parse().ok());
        let agent = agent.or_else(|| said.split("agents/").nth(1)?.split('/').next()?.parse().ok());
        Self { folded: fold(&said), fields, agent }
    }

    /// A field of a log line.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// What the line says, as [`fold`] has it, without advice.
    pub(crate) fn folded(&self) -> &str {
        &self.folded
    }

    /// The agent that the line is about, if it says so.
    pub(crate) fn agent(&self) -> Option<&AgentId> {
        self.agent.as_ref()
    }
}

/// Text as it is compared: small letters without accents, plain quotes, and one
/// space where there is any.
pub(crate) fn fold(text: &str) -> String {
    let plain = text.chars().flat_map(char::to_lowercase).map(|letter| match letter {
        'á' => 'a',
        'é' => 'e',
        'í' => 'i',
        'ó' => 'o',
        'ú' | 'ü' => 'u',
        'ñ' => 'n',
        '’' | '‘' | '´' => '\'',
        '“' | '”' | '«' | '»' => '"',
        other => other,
    });
    let plain: String = plain.collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text without what tells a terminal to change colors (ECMA-48, `ESC [ … m`).
fn without_colors(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = after.trim_start_matches(|letter: char| !letter.is_ascii_alphabetic());
        rest = rest.get(1..).unwrap_or_default();
    }
    plain.push_str(rest);
    plain.replace(char::is_control, " ")
}

/// Every value of an object by its name; the outer one wins.
fn flatten(name: &str, value: &Value, fields: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(object) => {
            let (inner, own): (Vec<_>, Vec<_>) =
                object.iter().partition(|(_, value)| value.is_object() || value.is_array());
            for (name, value) in own.into_iter().chain(inner) {
                flatten(name, value, fields);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| flatten(name, value, fields)),
        Value::String(text) => {
            fields.entry(name.to_owned()).or_insert_with(|| text.clone());
        }
        other => {
            fields.entry(name.to_owned()).or_insert_with(|| other.to_string());
        }
    }
}

/// The `name=value` and `name="value"` of a line.
fn pairs(text: &str) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('=') {
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let name = before.rsplit(|letter| !is_name(letter)).next().unwrap_or_default();
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => until_quote(quoted),
            None => {
                let ends = |letter: char| letter.is_whitespace() || letter == '}';
                let (value, _) = after.split_once(ends).unwrap_or((after, ""));
                (value.to_owned(), after)
            }
        };
        if !name.is_empty() {
            fields.entry(name.to_owned()).or_insert(value);
        }
        rest = after;
    }
    fields
}

/// What stands before the closing quote, and what comes after it.
fn until_quote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, text.get(at + 1..).unwrap_or_default()),
            '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
            letter => value.push(letter),
        }
    }
    (value, "")
}
