//! Holds a tree against the table of keys: unknown keys, and maps where maps
//! belong. What the values mean is not looked at here.

use std::collections::BTreeSet;

use crate::{
    diagnostic::Diagnostic,
    schema::{self, Key, Kind, Naming, Table},
    values::command,
    yaml::{Entry, Node, Value},
};

/// A check of one tree.
pub(crate) struct Shape<'a> {
    table: &'static Table,
    /// What stands before the paths of the table in messages, such as `defaults`.
    prefix: &'a str,
    found: &'a mut Vec<Diagnostic>,
    meant: BTreeSet<&'static str>,
    /// What is shown for each [`schema::NAME`] in a path, from the outside.
    names: Vec<String>,
}

/// Checks the map `node`. Gives the paths of keys that are probably there
/// under a wrong name, so that nobody has to report them as missing too.
pub(crate) fn check(
    node: &Node,
    table: &'static Table,
    prefix: &str,
    found: &mut Vec<Diagnostic>,
) -> BTreeSet<&'static str> {
    let mut shape = Shape { table, prefix, found, meant: BTreeSet::new(), names: Vec::new() };
    shape.map(node, "", Kind::Section);
    shape.meant
}

/// `parent.name`, or the one of the two that is not empty.
pub(crate) fn join(parent: &str, name: &str) -> String {
    let dot = if parent.is_empty() || name.is_empty() { "" } else { "." };
    format!("{parent}{dot}{name}")
}

/// Whether this looks like a key, so that it can be shown. A file that is
/// damaged enough can have a secret in the place of a key: `password:hunter2`
/// is one for want of a space. No known key has a digit, and most secrets do.
pub(crate) fn is_word(key: &str) -> bool {
    let plain = |char: char| char.is_ascii_alphabetic() || matches!(char, '_' | '-' | '.');
    key.len() <= 30 && key.chars().all(plain)
}

/// The known word that was probably meant.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // The distance takes time and memory with the product of the lengths.
    if word.len() > 64 {
        return None;
    }
    let scored = known.map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate));
    let allowed = word.chars().count().div_ceil(3);
    scored.filter(|&(distance, _)| distance <= allowed).min().map(|(_, candidate)| candidate)
}

impl Shape<'_> {
    fn map(&mut self, node: &Node, path: &str, kind: Kind) {
        match &node.value {
            Value::Null => {}
            Value::Map(entries) => {
                for entry in entries {
                    self.entry(entry, path);
                }
                if kind == Kind::Behaviors && entries.is_empty() {
                    self.none(node, path);
                }
            }
            Value::Scalar(_) | Value::List(_) => self.not_a_map(node, path),
        }
    }

    fn entry(&mut self, entry: &Entry, parent: &str) {
        let known = schema::children(self.table, parent).find(|key| key.name() == entry.key);
        match known {
            Some(key) if key.kind == Kind::AgentKeys => {
                check_defaults(&entry.value, self.found);
            }
            Some(key) if key.kind == Kind::Rooms => self.rooms(&entry.value, key.path),
            Some(Key { kind: Kind::Named(naming), path, .. }) => {
                self.named(&entry.value, path, *naming);
            }
            Some(key) if key.kind.is_map() => self.map(&entry.value, key.path, key.kind),
            Some(_) => {}
            None => self.unknown(entry, parent),
        }
    }

    /// A map whose keys are made up by the operator.
    fn named(&mut self, node: &Node, path: &'static str, naming: Naming) {
        if !matches!(node.value, Value::Null | Value::Map(_)) {
            return self.not_a_map(node, path);
        }
        let below = join(path, schema::NAME);
        for entry in node.entries() {
            let fault = match naming {
                Naming::Command => command::name(&entry.key),
                Naming::Word => command::word(&entry.key),
            };
            if let Err(fault) = fault {
                let message = format!("this {}", fault.predicate);
                let problem = Diagnostic::at(&entry.key_place, self.shown(path), message);
                self.found.push(Diagnostic { hint: fault.hint, ..problem.label(fault.label) });
            }
            self.names.push(command::shown(&entry.key).to_owned());
            self.map(&entry.value, &below, Kind::Section);
            self.names.pop();
        }
    }

    /// A map of maps; what is in them is looked at where their values are known.
    fn rooms(&mut self, node: &Node, path: &'static str) {
        let is_map = |node: &Node| matches!(node.value, Value::Null | Value::Map(_));
        if !is_map(node) {
            return self.not_a_map(node, path);
        }
        for entry in node.entries().iter().filter(|entry| !is_map(&entry.value)) {
            self.not_a_map(&entry.value, path);
        }
    }

    /// A path of the table as it is shown.
    fn shown(&self, path: &str) -> String {
        let named = |path: String, name: &String| path.replacen(schema::NAME, name, 1);
        join(self.prefix, &self.names.iter().fold(path.to_owned(), named))
    }

    fn unknown(&mut self, entry: &Entry, parent: &str) {
        let (path, message) = if is_word(&entry.key) {
            let path = self.shown(&join(parent, &entry.key));
            (path, "there is no such key".to_owned())
        } else if entry.key == "<<" {
            (self.shown(parent), "YAML 1.2 has no merge key `<<`".to_owned())
        } else {
            (self.shown(parent), "this is not a key".to_owned())
        };
        let mut problem = Diagnostic::at(&entry.key_place, path, message);
        let names = || schema::children(self.table, parent).map(Key::name);
        if let Some(name) = nearest(&entry.key, names()) {
            self.meant.extend(
                schema::children(self.table, parent)
                    .filter(|key| key.name() == name)
                    .map(|key| key.path),
            );
            problem = problem.label(format!("did you mean `{name}`?"));
        } else if names().next().is_none() {
            problem = problem.label("no keys are known here");
        } else {
            let list: Vec<&str> = names().collect();
            problem = problem.hint(format!("known here: {}", list.join(", ")));
            let elsewhere = self.table.iter().find(|key| key.name() == entry.key);
            if let Some(key) = elsewhere {
                problem = problem.label(format!("did you mean `{}`?", join(self.prefix, key.path)));
            }
        }
        self.found.push(problem);
    }

    fn none(&mut self, node: &Node, path: &str) {
        let names: Vec<&str> = schema::children(self.table, path).map(Key::name).collect();
        self.found.push(
            Diagnostic::at(&node.place, self.shown(path), "one key is needed here")
                .hint(format!("known here: {}", names.join(", "))),
        );
    }

    fn not_a_map(&mut self, node: &Node, path: &str) {
        let message = format!("expected a map, found {}", node.kind());
        let problem = Diagnostic::at(&node.place, self.shown(path), message);
        let names: Vec<&str> = schema::children(self.table, path).map(Key::name).collect();
        self.found.push(match names.as_slice() {
            [schema::NAME] => problem.label("write `\"!name\": { run: [\"program\"] }`"),
            names => problem.hint(format!("known here: {}", names.join(", "))),
        });
    }
}

fn check_defaults(node: &Node, found: &mut Vec<Diagnostic>) {
    check(node, &schema::AGENT, "defaults", found);
}
