//! Reads the launcher's log as it grows, and shows its end to a person.

use std::{io::Read, path::Path};

use fs_err::File;
use serde_json::{Map, Value};

/// How many lines of a log are shown with an error.
const TAIL: usize = 12;

/// What every line has and no reader of an error needs.
const UNINTERESTING: [&str; 5] = ["timestamp", "level", "target", "message", "event"];

/// Hands out every line of a growing file once.
#[derive(Debug)]
pub(crate) struct LogFollower {
    file: File,
    /// The beginning of a line whose end is not written yet.
    rest: Vec<u8>,
}

impl LogFollower {
    pub(crate) fn open(path: &Path) -> std::io::Result<Self> {
        Ok(Self { file: File::open(path)?, rest: Vec::new() })
    }

    /// The lines that were completed since the last call and are JSON objects.
    pub(crate) fn new_entries(&mut self) -> std::io::Result<Vec<Entry>> {
        self.file.read_to_end(&mut self.rest)?;
        let Some(end) = self.rest.iter().rposition(|&byte| byte == b'\n') else {
            return Ok(Vec::new());
        };
        let unfinished = self.rest.split_off(end + 1);
        let complete = std::mem::replace(&mut self.rest, unfinished);
        Ok(complete.split(|&byte| byte == b'\n').filter_map(Entry::parse).collect())
    }
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry(Map<String, Value>);

impl Entry {
    fn parse(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok().map(Self)
    }

    /// A field, if it is there and text.
    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        self.0.get(field)?.as_str()
    }

    /// Whether this is the named event of an agent.
    pub(crate) fn is_event(&self, event: &str) -> bool {
        self.text("event") == Some(event)
    }

    fn for_people(&self) -> String {
        let mut line = format!(
            "{:5} {}",
            self.text("level").unwrap_or_default(),
            self.text("message").unwrap_or_default()
        );
        for (name, value) in &self.0 {
            if !UNINTERESTING.contains(&name.as_str()) && !value.is_null() {
                let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
                line.push_str(&format!(" {name}={value}"));
            }
        }
        line
    }
}

/// The last lines of a log, for an error.
pub(crate) fn tail(path: &Path) -> String {
    let bytes = fs_err::read(path).unwrap_or_default();
    match bytes.is_empty() {
        true => "  (nothing is in it)".to_owned(),
        false => for_people(&String::from_utf8_lossy(&bytes)),
    }
}

fn for_people(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let last = &lines[lines.len().saturating_sub(TAIL)..];
    let shown = last.iter().map(|line| match Entry::parse(line.as_bytes()) {
        Some(entry) => format!("  {}", entry.for_people()),
        None => format!("  {line}"),
    });
    shown.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_handed_out_once_and_only_when_it_is_complete() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        fs_err::write(&path, "").unwrap();
        let mut follower = LogFollower::open(&path).unwrap();
        let mut seen = |text: &str| {
            let before = fs_err::read_to_string(&path).unwrap();
            fs_err::write(&path, before + text).unwrap();
            let entries = follower.new_entries().unwrap();
            entries.iter().filter_map(|entry| entry.text("event").map(String::from)).collect()
        };
        let none: [&str; 0] = [];
        let first: Vec<String> = seen("{\"event\":\"a\"}\n{\"ev");
        assert_eq!(first, ["a"]);
        let second: Vec<String> = seen("ent\":\"b\"}\nnot json\n");
        assert_eq!(second, ["b"]);
        let third: Vec<String> = seen("");
        assert_eq!(third, none);
    }

    #[test]
    fn the_end_of_a_log_is_shown_without_what_every_line_has() {
        let json = r#"{"timestamp":"t","level":"WARN","target":"x","message":"failed","agent":"echo","tries":2,"error":null}"#;
        assert_eq!(for_people(json), "  WARN  failed agent=echo tries=2");
        let many: Vec<String> = (1..=40).map(|line| line.to_string()).collect();
        let shown = for_people(&many.join("\n"));
        assert!(shown.starts_with("  29\n") && shown.ends_with("\n  40"), "{shown}");
    }
}
