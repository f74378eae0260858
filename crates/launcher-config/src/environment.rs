//! Where the value of a `${NAME}` comes from: the environment, then `.env`.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fmt,
};

use crate::shape::nearest;

/// The variables of the process, or of a test.
pub trait Environment {
    /// The value of a variable. `None` if it is not set.
    fn var(&self, name: &str) -> Option<String>;
}

/// The environment of this process. A value that is not UTF-8 counts as not set.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn var(&self, name: &str) -> Option<String> {
        env::var_os(name)?.into_string().ok()
    }
}

impl Environment for BTreeMap<String, String> {
    fn var(&self, name: &str) -> Option<String> {
        self.get(name).cloned()
    }
}

/// What `.env` says.
#[derive(Default)]
pub(crate) struct EnvFile {
    pub(crate) values: BTreeMap<String, String>,
    /// Names whose lines are broken, which has been reported.
    pub(crate) broken: BTreeSet<String>,
    /// The file could not be read at all, which has been reported.
    pub(crate) unreadable: bool,
}

/// Both sources together.
pub(crate) struct Variables<'a> {
    environment: &'a dyn Environment,
    file: EnvFile,
}

/// What is known about a variable.
pub(crate) enum Lookup<'a> {
    Set(String),
    /// Not set; a name from `.env` that is nearly the same.
    Missing(Option<&'a str>),
    /// It may be set in a part of `.env` that cannot be read.
    Unknown,
}

impl<'a> Variables<'a> {
    pub(crate) fn new(environment: &'a dyn Environment, file: EnvFile) -> Self {
        Self { environment, file }
    }

    pub(crate) fn look_up(&self, name: &str) -> Lookup<'_> {
        let EnvFile { values, broken, unreadable } = &self.file;
        match self.environment.var(name).or_else(|| values.get(name).cloned()) {
            Some(value) => Lookup::Set(value),
            None if *unreadable || broken.contains(name) => Lookup::Unknown,
            None => Lookup::Missing(nearest(name, values.keys().map(String::as_str))),
        }
    }
}

impl fmt::Debug for Variables<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Variables(…)")
    }
}
