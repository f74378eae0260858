//! `launcher check`: every problem in every file, and nothing else.

use std::fmt::Write as _;

use launcher_config::{Diagnostic, ProcessEnvironment, Sources, load, summary};
use serde::Serialize;

use super::json;
use crate::{
    args::{Check, Files},
    exit::{self, Exit},
};

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Checked<'a> {
    /// How many agents there are.
    agents: usize,
    problems: Vec<Problem<'a>>,
}

#[derive(Debug, Serialize)]
struct Problem<'a> {
    file: &'a str,
    /// From 1, like `column`, which counts characters.
    line: usize,
    column: usize,
    /// The key; null if the whole file is meant.
    path: Option<&'a str>,
    message: &'a str,
    /// The short way out.
    label: Option<&'a str>,
    /// Why, or the long way out.
    hint: Option<&'a str>,
}

pub(crate) fn run(options: &Check) -> anyhow::Result<Exit> {
    let loaded = load(&sources(&options.files), &ProcessEnvironment);
    let (count, problems) = (loaded.agents.len(), &loaded.diagnostics);
    exit::print(&match options.json {
        true => json(&Checked { agents: count, problems: problems.iter().map(of).collect() })?,
        false => page(count, problems)?,
    });
    Ok(if problems.is_empty() { Exit::Done } else { Exit::BadConfig })
}

fn of(problem: &Diagnostic) -> Problem<'_> {
    Problem {
        file: &problem.file,
        line: problem.line,
        column: problem.column,
        path: not_empty(&problem.path),
        message: &problem.message,
        label: not_empty(&problem.label),
        hint: problem.hint.as_deref(),
    }
}

fn not_empty(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn page(agents: usize, problems: &[Diagnostic]) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    for problem in problems {
        writeln!(text, "{problem}\n")?;
    }
    match problems.is_empty() {
        true => {
            writeln!(text, "{agents} agent{}, no problems", if agents == 1 { "" } else { "s" })?
        }
        false => writeln!(text, "{}", summary(problems))?,
    }
    Ok(text)
}

/// Where `launcher-config` is to look.
pub(crate) fn sources(files: &Files) -> Sources {
    Sources { config: files.config.clone(), env_file: files.env_file.clone() }
}
