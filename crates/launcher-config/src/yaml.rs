//! Turns the text of a YAML file into a tree of nodes that know their place.
//!
//! Not serde: it stops at the first problem and forgets positions. The parser
//! gives events; [`Builder`] makes the tree, with limits on depth and size so
//! that neither nesting nor aliases of aliases can exhaust memory or stack.
//! Duplicate keys are reported here, because a map in the tree has none.

mod build;
mod complaint;

use std::rc::Rc;

use granit_parser::{Event, Parser, ScanError, Span};

use crate::{
    diagnostic::Diagnostic,
    source::{Place, SourceFile},
    yaml::build::Builder,
};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

/// What stands there.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// Any other scalar.
    Scalar(Scalar),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping; no key occurs twice.
    Map(Vec<Entry>),
}

/// A scalar, as text; what type it has is decided by who reads it.
#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    /// Quoted or in a block: it can only be a string.
    pub(crate) quoted: bool,
}

/// One key of a map and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_place: Place,
    pub(crate) value: Node,
}

/// The tree of a file. `None` if it has a syntax error; an empty file is [`Value::Null`].
pub(crate) fn parse(file: &Rc<SourceFile>, found: &mut Vec<Diagnostic>) -> Option<Node> {
    let mut builder = Builder::new(file);
    let mut parser = Parser::new_from_str(file.text());
    let mut documents = 0;
    while let Some(event) = parser.next_event() {
        let stopped = match event {
            Ok((Event::DocumentStart(..), span)) => {
                documents += 1;
                (documents > 1).then(|| second_document(&place(file, span)))
            }
            Ok((event, span)) => builder.take(event, &place(file, span), found),
            Err(error) => Some(syntax_error(file, &error)),
        };
        if let Some(problem) = stopped {
            found.push(problem);
            return None;
        }
    }
    Some(builder.finish())
}

fn second_document(place: &Place) -> Diagnostic {
    Diagnostic::at(place, "", "a second YAML document starts here")
        .label("one file holds one document")
}

fn syntax_error(file: &Rc<SourceFile>, error: &ScanError) -> Diagnostic {
    let marker = error.marker();
    let start = match marker.byte_offset() {
        Some(offset) => offset,
        None => {
            file.text().char_indices().nth(marker.index()).map_or(file.text().len(), |(at, _)| at)
        }
    };
    // At the very end of a file there is no line to show: the last one is nearer.
    let text = file.text();
    let start = if start >= text.len() { text.trim_end().len() } else { start };
    complaint::about(&Place::new(file, start, start + 1), error)
}

fn place(file: &Rc<SourceFile>, span: Span) -> Place {
    let start = span.start.byte_offset().unwrap_or_default();
    Place::new(file, start, span.end.byte_offset().unwrap_or(start))
}

impl Node {
    /// The value under a dotted path such as `matrix.password`.
    pub(crate) fn at(&self, path: &str) -> Option<&Node> {
        path.split('.').try_fold(self, |node, key| node.entry(key).map(|entry| &entry.value))
    }

    /// The entry with this key, if this is a map that has it.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The entries of a map; none for anything else.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            Value::Null | Value::Scalar(_) | Value::List(_) => &[],
        }
    }

    /// What this is, for `expected …, found …`.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
            Value::Scalar(scalar) if scalar.is_boolean() => "a boolean",
            Value::Scalar(scalar) if scalar.is_number() => "a number",
            Value::Scalar(_) => "text",
        }
    }
}

impl Scalar {
    /// Whether YAML's core schema takes this for null.
    fn is_null(&self) -> bool {
        !self.quoted && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }

    /// Whether YAML's core schema takes this for a boolean.
    pub(crate) fn is_boolean(&self) -> bool {
        let words = ["true", "True", "TRUE", "false", "False", "FALSE"];
        !self.quoted && words.contains(&self.text.as_str())
    }

    /// Whether this looks like a number. Only used in messages.
    fn is_number(&self) -> bool {
        !self.quoted && self.text.parse::<f64>().is_ok()
    }
}
