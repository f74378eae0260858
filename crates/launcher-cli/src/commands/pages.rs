//! `launcher completions` and `launcher man`: made from what can be typed.

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::generate;
use clap_mangen::{Man, generate_to};

use crate::{
    args::{Arguments, Completions, Manual},
    exit::{self, Exit},
};

pub(crate) fn completions(options: &Completions) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    generate(options.shell, &mut Arguments::command(), "launcher", &mut script);
    exit::print(&String::from_utf8(script)?);
    Ok(Exit::Done)
}

pub(crate) fn manual(options: &Manual) -> anyhow::Result<Exit> {
    if let Some(folder) = &options.output {
        generate_to(Arguments::command(), folder)
            .with_context(|| format!("writing pages into {}", folder.display()))?;
        return Ok(Exit::Done);
    }
    let mut page = Vec::new();
    Man::new(Arguments::command().disable_help_subcommand(true)).render(&mut page)?;
    exit::print(&String::from_utf8(page)?);
    Ok(Exit::Done)
}
