//! Reads values out of a tree, as the types that the table of keys names.
//!
//! A value that is absent or broken is `None`; a broken one has been reported
//! when this returns. A message shows a value only if it is harmless: short,
//! on one line, and without anything from a variable.

use std::{fmt, path::Path, str::FromStr};

use zeroize::Zeroize;

use crate::{
    diagnostic::Diagnostic,
    environment::Variables,
    shape::{join, nearest},
    source::Place,
    substitute::{Text, substitute},
    values::Fault,
    yaml::{Node, Value},
};

/// A value and the place where it was written.
#[derive(Clone, Debug)]
pub(crate) struct Located<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

/// One tree that is being read.
pub(crate) struct Reading<'a> {
    tree: &'a Node,
    prefix: &'a str,
    variables: &'a Variables<'a>,
    folder: Option<&'a Path>,
    pub(crate) found: Vec<Diagnostic>,
}

impl<'a> Reading<'a> {
    /// `prefix` stands before paths in messages.
    pub(crate) fn new(tree: &'a Node, prefix: &'a str, variables: &'a Variables<'a>) -> Self {
        Self { tree, prefix, variables, folder: None, found: Vec::new() }
    }

    /// The same, of an agent that has this folder.
    pub(crate) fn in_folder(self, folder: &'a Path) -> Self {
        Self { folder: Some(folder), ..self }
    }

    /// A reading of a part of the tree, `path` below this one's. What is found
    /// has to be taken over.
    pub(crate) fn below<'b>(&self, part: &'b Node, prefix: &'b str) -> Reading<'b>
    where
        'a: 'b,
    {
        Reading { folder: self.folder, ..Reading::new(part, prefix, self.variables) }
    }

    /// The agent's folder; none if this is about all agents.
    pub(crate) fn folder(&self) -> Option<&'a Path> {
        self.folder
    }

    pub(crate) fn tree(&self) -> &'a Node {
        self.tree
    }

    /// A path as it is shown.
    pub(crate) fn shown_path(&self, path: &str) -> String {
        join(self.prefix, path)
    }

    /// `true` or `false`.
    pub(crate) fn flag(&mut self, path: &str) -> Option<Located<bool>> {
        let node = self.tree.at(path)?;
        let known = |text: &str| match text {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            _ => None,
        };
        let value = match &node.value {
            Value::Scalar(scalar) if !scalar.quoted && !scalar.text.contains("${") => {
                known(&scalar.text)
            }
            // A variable can only hold text; there is no other way to write a boolean in one.
            Value::Scalar(scalar) if scalar.text.contains("${") => {
                known(self.substituted(path, node)?.value.as_str())
            }
            _ => None,
        };
        if value.is_none() {
            let message = format!("expected `true` or `false`, found {}", node.kind());
            self.report(path, &node.place, message, "write `true` or `false`");
        }
        value.map(|value| Located { value, place: node.place.clone() })
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(&mut self, path: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(path)?;
        let found = words.iter().find(|(word, _)| *word == text.value.value);
        if found.is_none() {
            let near = nearest(&text.value.value, words.iter().map(|(word, _)| *word));
            let label = near.map(|near| format!("did you mean `{near}`?")).unwrap_or_default();
            let list: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            let message = format!("{} is not one of {}", shown(&text), list.join(", "));
            self.report(path, &text.place, message, label);
        }
        found.map(|&(_, value)| value)
    }

    /// Text that a function understands.
    pub(crate) fn parsed<T>(
        &mut self,
        path: &str,
        parse: impl Fn(&str) -> Result<T, Fault>,
    ) -> Option<Located<T>> {
        let text = self.text(path)?;
        match parse(&text.value.value) {
            Ok(value) => Some(Located { value, place: text.place }),
            Err(fault) => {
                let subject = if fault.hide { "the value".to_owned() } else { shown(&text) };
                self.fault(path, &text.place, &subject, fault);
                None
            }
        }
    }

    /// Text that a function understands and nobody may see.
    pub(crate) fn secret<T>(
        &mut self,
        path: &str,
        parse: impl Fn(&str) -> Result<T, Fault>,
    ) -> Option<T> {
        let mut text = self.text(path)?;
        let result = if text.value.value.is_empty() {
            Err(match text.value.referenced {
                true => Fault::new("is empty").hint("the variable is set, but to nothing"),
                false => Fault::new("is empty"),
            })
        } else {
            parse(&text.value.value)
        };
        text.value.value.zeroize();
        result.map_err(|fault| self.fault(path, &text.place, "the value", fault)).ok()
    }

    /// A list of texts, each of which a function accepts.
    pub(crate) fn list(
        &mut self,
        path: &str,
        accept: impl Fn(&str) -> Result<(), Fault>,
    ) -> Option<Vec<String>> {
        let node = self.tree.at(path)?;
        let Value::List(items) = &node.value else {
            let message = format!("expected a list, found {}", node.kind());
            self.report(path, &node.place, message, "write it in `[ ]`");
            return None;
        };
        let mut values = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let Some(text) = self.scalar(&path, item) else {
                continue;
            };
            match accept(&text.value) {
                Ok(()) => values.push(text.value),
                Err(fault) => {
                    let subject = shown(&Located { value: text, place: item.place.clone() });
                    let harmless = subject.starts_with('`');
                    self.fault(&path, &item.place, &subject, fault);
                    if harmless {
                        self.show_last(&item.place);
                    }
                }
            }
        }
        (values.len() == items.len()).then_some(values)
    }

    /// Text, with its variables replaced.
    pub(crate) fn text(&mut self, path: &str) -> Option<Located<Text>> {
        let node = self.tree.at(path)?;
        let value = self.scalar(path, node)?;
        Some(Located { value, place: node.place.clone() })
    }

    fn scalar(&mut self, path: &str, node: &Node) -> Option<Text> {
        match &node.value {
            Value::Scalar(scalar) if !scalar.is_boolean() => self.substituted(path, node),
            Value::Null => {
                self.report(path, &node.place, "there is no value", "write one, or remove the key");
                None
            }
            Value::Scalar(_) => {
                self.report(
                    path,
                    &node.place,
                    "expected text, found a boolean",
                    "put it in quotes",
                );
                None
            }
            Value::List(_) | Value::Map(_) => {
                let message = format!("expected text, found {}", node.kind());
                self.report(path, &node.place, message, "");
                None
            }
        }
    }

    fn substituted(&mut self, path: &str, node: &Node) -> Option<Text> {
        let Value::Scalar(scalar) = &node.value else {
            return None;
        };
        let path = self.shown_path(path);
        substitute(&scalar.text, &node.place, &path, self.variables, &mut self.found)
    }

    /// Adds a problem.
    pub(crate) fn report(
        &mut self,
        path: &str,
        place: &Place,
        message: impl Into<String>,
        label: impl Into<String>,
    ) {
        let path = self.shown_path(path);
        self.found.push(Diagnostic::at(place, path, message).label(label));
    }

    fn fault(&mut self, path: &str, place: &Place, subject: &str, fault: Fault) {
        let message = format!("{subject} {}", fault.predicate);
        self.report(path, place, message, fault.label);
        if let Some(last) = self.found.last_mut() {
            last.hint = fault.hint;
        }
    }

    fn show_last(&mut self, place: &Place) {
        if let Some(last) = self.found.pop() {
            self.found.push(last.showing(place));
        }
    }
}

/// Parses with `FromStr`, when the type's own error says nothing useful.
pub(crate) fn plainly<T: FromStr>(text: &str, fault: impl Fn() -> Fault) -> Result<T, Fault> {
    text.parse().map_err(|_| fault())
}

/// A value as it may stand in a message.
fn shown(text: &Located<Text>) -> String {
    let Text { value, referenced } = &text.value;
    let harmless = !referenced
        && value.chars().count() <= 80
        && !value.chars().any(char::is_control)
        && text.place.text().lines().count() <= 1
        && !crate::schema::secret_names().any(|name| value.contains(name));
    if harmless { format!("`{value}`") } else { "the value".to_owned() }
}

impl fmt::Debug for Reading<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Reading").field("found", &self.found).finish_non_exhaustive()
    }
}
