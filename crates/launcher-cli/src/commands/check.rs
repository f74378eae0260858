//! `launcher check`: every problem in every file, and nothing else.

use std::fmt::Write as _;

use launcher_config::{ProcessEnvironment, Sources, load, summary};

use crate::{
    args::Files,
    exit::{self, Exit},
};

pub(crate) fn run(files: &Files) -> anyhow::Result<Exit> {
    let loaded = load(&sources(files), &ProcessEnvironment);
    let mut text = String::new();
    for problem in &loaded.diagnostics {
        writeln!(text, "{problem}\n")?;
    }
    if loaded.diagnostics.is_empty() {
        let count = loaded.agents.len();
        writeln!(text, "{count} agent{}, no problems", if count == 1 { "" } else { "s" })?;
        exit::print(&text);
        return Ok(Exit::Done);
    }
    writeln!(text, "{}", summary(&loaded.diagnostics))?;
    exit::print(&text);
    Ok(Exit::BadConfig)
}

/// Where `launcher-config` is to look.
pub(crate) fn sources(files: &Files) -> Sources {
    Sources { config: files.config.clone(), env_file: files.env_file.clone() }
}
