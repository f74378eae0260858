//! Bodies that are read: which form they have to have.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{
    refusal::Problems,
    values::{Octets, length},
};

/// The most bytes of a ciphertext, a header or a signature.
const MOST_BYTES: usize = 64 * 1024;

/// The most bytes of what clients put into a field of their own, as JSON.
const MOST_FREE: usize = 16 * 1024;

/// How deep that may be nested. What is read with a limit of its own has to stay
/// readable inside of an answer.
const DEEPEST: usize = 32;

/// A body that clients send.
pub(crate) trait Input: DeserializeOwned + JsonSchema + Send + 'static {
    /// Whether `identityKey` is taken for `identity_key`, too.
    const CAMEL_CASE_TOO: bool = false;

    /// Cleans texts, and writes down what is wrong with the fields.
    fn check(&mut self, limits: &mut Limits);
}

/// Collects what is wrong with fields.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    problems: Problems,
}

impl Limits {
    /// Everything that was wrong.
    pub(crate) fn into_problems(self) -> Problems {
        self.problems
    }

    /// Something is wrong with a field.
    pub(crate) fn wrong(&mut self, name: &str, problem: impl Into<String>) {
        self.problems.entry(name.to_owned()).or_default().push(problem.into());
    }

    /// A text has a most of letters, counted in units of UTF-16.
    pub(crate) fn text(&mut self, name: &str, text: Option<&str>, most: usize) {
        if text.is_some_and(|text| length(text) > most) {
            self.wrong(name, format!("has to be of {most} characters at most"));
        }
    }

    /// Bytes have a most.
    pub(crate) fn bytes(&mut self, name: &str, bytes: Option<&Octets>) {
        if bytes.is_some_and(|bytes| bytes.0.len() > MOST_BYTES) {
            self.wrong(name, format!("has to be of {MOST_BYTES} bytes at most"));
        }
    }

    /// What clients put into a field of their own has a most, and a depth.
    pub(crate) fn free(&mut self, name: &str, free: Option<&Map<String, Value>>) {
        let Some(free) = free else { return };
        let free = Value::Object(free.clone());
        if free.to_string().len() > MOST_FREE {
            self.wrong(name, format!("has to be of {MOST_FREE} bytes at most"));
        }
        if depth(&free) > DEEPEST {
            self.wrong(name, format!("has to be nested {DEEPEST} deep at most"));
        }
    }

    /// A key has exactly so many bytes.
    pub(crate) fn key(&mut self, name: &str, bytes: &Octets, exactly: usize) {
        if bytes.0.len() != exactly {
            self.wrong(name, format!("has to be of {exactly} bytes"));
        }
    }

    /// A number is one of a few.
    pub(crate) fn number(&mut self, name: &str, number: Option<i64>, from: i64, to: i64) {
        if number.is_some_and(|number| !(from..=to).contains(&number)) {
            self.wrong(name, format!("has to be from {from} to {to}"));
        }
    }

    /// A list has a least and a most.
    pub(crate) fn count(&mut self, name: &str, count: usize, from: usize, to: usize) {
        if !(from..=to).contains(&count) {
            self.wrong(name, format!("has to have from {from} to {to} items"));
        }
    }
}

/// How deep a value is nested; what was parsed has a limit.
fn depth(value: &Value) -> usize {
    let inside = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(fields) => fields.values().map(depth).max(),
        _ => return 0,
    };
    1 + inside.unwrap_or(0)
}
