//! Makes the tree out of the parser's events.
//!
//! An alias becomes a copy of what its anchor stands for. Copies count: the
//! tree may have [`MAX_NODES`] nodes and be [`MAX_DEPTH`] deep in all.

use std::{collections::BTreeMap, rc::Rc};

use granit_parser::{Event, ScalarStyle, Tag};

use super::{Entry, Node, Scalar, Value};
use crate::{
    diagnostic::Diagnostic,
    shape,
    source::{Place, SourceFile},
};

/// Far more than any configuration has; a file of 1 MiB can ask for billions.
/// Looking for duplicate keys takes time with its square.
const MAX_NODES: usize = 10_000;

/// The table of keys is four deep. Recursion over the tree relies on this limit.
const MAX_DEPTH: usize = 32;

/// A collection that has not ended yet.
struct Open {
    place: Place,
    anchor: usize,
    /// How many nodes there were before this one.
    before: usize,
    /// How deep the deepest node below is.
    deepest: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, key: Option<Key> },
}

/// A key that waits for its value.
enum Key {
    Good {
        text: String,
        place: Place,
    },
    /// Reported already; its value is dropped.
    Bad,
}

/// A finished node that an alias may repeat.
struct Anchored {
    node: Node,
    size: usize,
    /// How many levels it adds, itself included.
    height: usize,
}

pub(super) struct Builder {
    open: Vec<Open>,
    anchors: BTreeMap<usize, Anchored>,
    nodes: usize,
    root: Node,
}

impl Builder {
    pub(super) fn new(file: &Rc<SourceFile>) -> Self {
        let root = Node { place: Place::start_of(file), value: Value::Null };
        Self { open: Vec::new(), anchors: BTreeMap::new(), nodes: 0, root }
    }

    pub(super) fn finish(self) -> Node {
        self.root
    }

    /// Adds one event. What comes back ends the reading of the file.
    pub(super) fn take(
        &mut self,
        event: Event<'_>,
        place: &Place,
        found: &mut Vec<Diagnostic>,
    ) -> Option<Diagnostic> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let texts = tag.as_deref().and_then(Tag::core_suffix) == Some("str");
                note_tag(tag.as_deref(), place, found);
                let quoted = style != ScalarStyle::Plain || texts;
                let scalar = Scalar { text: text.into_owned(), quoted };
                let value = if scalar.is_null() { Value::Null } else { Value::Scalar(scalar) };
                self.nodes += 1;
                self.add(Node { place: place.clone(), value }, anchor, 1, 1, found);
            }
            Event::SequenceStart(_, anchor, tag) => {
                note_tag(tag.as_deref(), place, found);
                self.begin(place, anchor, Content::List(Vec::new()));
            }
            Event::MappingStart(_, anchor, tag) => {
                note_tag(tag.as_deref(), place, found);
                self.begin(place, anchor, Content::Map { entries: Vec::new(), key: None });
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(found),
            Event::Alias(anchor) => return self.repeat(anchor, place, found),
            _ => {}
        }
        self.over_the_limit(place)
    }

    fn over_the_limit(&self, place: &Place) -> Option<Diagnostic> {
        let deepest = self.open.last().map_or(0, |open| open.deepest).max(self.open.len());
        if self.nodes > MAX_NODES {
            Some(Diagnostic::at(place, "", format!("the file has more than {MAX_NODES} values")))
        } else if deepest > MAX_DEPTH {
            let message = format!("values are nested more than {MAX_DEPTH} deep");
            Some(Diagnostic::at(place, "", message))
        } else {
            None
        }
    }

    fn begin(&mut self, place: &Place, anchor: usize, content: Content) {
        let before = self.nodes;
        self.nodes += 1;
        let deepest = self.open.len() + 1;
        self.open.push(Open { place: place.clone(), anchor, before, deepest, content });
    }

    fn end(&mut self, found: &mut Vec<Diagnostic>) {
        let Some(open) = self.open.pop() else { return };
        let value = match open.content {
            Content::List(items) => Value::List(items),
            Content::Map { entries, .. } => Value::Map(entries),
        };
        let height = open.deepest.saturating_sub(self.open.len());
        let size = self.nodes - open.before;
        self.add(Node { place: open.place, value }, open.anchor, size, height, found);
    }

    fn repeat(
        &mut self,
        anchor: usize,
        place: &Place,
        found: &mut Vec<Diagnostic>,
    ) -> Option<Diagnostic> {
        let Some(anchored) = self.anchors.get(&anchor) else {
            return Some(Diagnostic::at(place, "", "this alias stands inside of what it repeats"));
        };
        let (size, height) = (anchored.size, anchored.height);
        self.nodes += size;
        if self.nodes <= MAX_NODES && self.open.len() + height <= MAX_DEPTH {
            let node = anchored.node.clone();
            self.add(node, 0, size, height, found);
        } else {
            let depth = self.open.len();
            if let Some(open) = self.open.last_mut() {
                open.deepest = open.deepest.max(depth + height);
            }
        }
        self.over_the_limit(place)
    }

    fn add(
        &mut self,
        node: Node,
        anchor: usize,
        size: usize,
        height: usize,
        found: &mut Vec<Diagnostic>,
    ) {
        if anchor != 0 {
            self.anchors.insert(anchor, Anchored { node: node.clone(), size, height });
        }
        let depth = self.open.len();
        let above = self.path();
        let Some(parent) = self.open.last_mut() else {
            self.root = node;
            return;
        };
        parent.deepest = parent.deepest.max(depth + height);
        match &mut parent.content {
            Content::List(items) => items.push(node),
            Content::Map { entries, key } => match key.take() {
                None => *key = Some(as_key(node, entries, &above, found)),
                Some(Key::Good { text, place }) => {
                    entries.push(Entry { key: text, key_place: place, value: node });
                }
                Some(Key::Bad) => {}
            },
        }
    }

    /// The keys that lead to the innermost collection, as far as they are words.
    fn path(&self) -> String {
        self.open.iter().fold(String::new(), |path, open| match &open.content {
            Content::Map { key: Some(Key::Good { text, .. }), .. } if shape::is_word(text) => {
                shape::join(&path, text)
            }
            Content::Map { .. } | Content::List(_) => path,
        })
    }
}

fn as_key(node: Node, entries: &[Entry], above: &str, found: &mut Vec<Diagnostic>) -> Key {
    let text = match node.value {
        Value::Scalar(scalar) => scalar.text,
        Value::Null | Value::List(_) | Value::Map(_) => {
            found.push(
                Diagnostic::at(
                    &node.place,
                    above,
                    format!("{} stands in place of a key", node.kind()),
                )
                .label("a key is a word"),
            );
            return Key::Bad;
        }
    };
    if let Some(first) = entries.iter().find(|entry| entry.key == text) {
        let path = if shape::is_word(&text) { shape::join(above, &text) } else { above.to_owned() };
        found.push(
            Diagnostic::at(&node.place, path, "this key stands here twice")
                .label("remove one of the two")
                .related(&first.key_place, "first used here"),
        );
        return Key::Bad;
    }
    Key::Good { text, place: node.place }
}

fn note_tag(tag: Option<&Tag>, place: &Place, found: &mut Vec<Diagnostic>) {
    if tag.is_some_and(|tag| !tag.is_yaml_core_schema() && tag.suffix() != "") {
        found.push(
            Diagnostic::at(place, "", "a YAML tag stands before this value")
                .label("no key takes a tag; quote the value if the `!` is part of it"),
        );
    }
}
