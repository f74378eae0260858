//! The kinds of values: what is a duration, an address, a user id, a key.
//!
//! Each function here knows its text only, not where it stands. What it says
//! about it is a [`Fault`]: the end of a sentence that starts with the value,
//! or with `the value` when nobody may see it.

pub(crate) mod address;
pub(crate) mod amount;
pub(crate) mod command;
pub(crate) mod cron;
pub(crate) mod duration;
pub(crate) mod limit;
pub(crate) mod members;
pub(crate) mod pickle_key;
pub(crate) mod signing_key;
pub(crate) mod time_zone;
pub(crate) mod user_id;

/// What is wrong with a value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The message without its first word.
    pub(crate) predicate: String,
    /// The short way out.
    pub(crate) label: String,
    /// The long one.
    pub(crate) hint: Option<String>,
    /// The value may hold something secret.
    pub(crate) hide: bool,
}

impl Fault {
    pub(crate) fn new(predicate: impl Into<String>) -> Self {
        Self { predicate: predicate.into(), label: String::new(), hint: None, hide: false }
    }

    pub(crate) fn label(self, label: impl Into<String>) -> Self {
        Self { label: label.into(), ..self }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    pub(crate) fn hidden(self) -> Self {
        Self { hide: true, ..self }
    }
}
