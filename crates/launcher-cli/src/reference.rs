//! Keeps docs/reference and docs/troubleshooting equal to what the code says.
//!
//! `make reference` writes the files; as a test this fails when they are stale.

use std::{fmt::Write as _, path::PathBuf};

use clap::CommandFactory;

use crate::{
    args::Arguments,
    explain::{
        markdown,
        pages::{Book, Language},
    },
};

#[test]
fn the_reference_says_what_the_code_says() {
    let docs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let book = Book::open().unwrap();
    for (name, text) in [
        ("reference/config.md", launcher_config::reference_markdown()),
        ("reference/commands.md", commands()),
        ("troubleshooting/en.md", markdown::of(&book, Language::En)),
        ("troubleshooting/es.md", markdown::of(&book, Language::Es)),
    ] {
        let path = docs.join(name);
        if std::env::var_os("UPDATE_REFERENCE").is_some() {
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(&path, &text).unwrap();
        }
        let found = fs_err::read_to_string(&path).unwrap_or_default();
        assert!(found == text, "docs/{name} is stale: run `make reference`");
    }
}

fn commands() -> String {
    let mut text = "# Commands\n\nMade from the program's own help; do not edit.\n\n\
        Exit status: 0 done, 1 failed, 2 wrong usage, 78 bad configuration.\n"
        .to_owned();
    let mut root = Arguments::command();
    root.build();
    let shown =
        |command: &&mut clap::Command| command.get_name() != "help" && !command.is_hide_set();
    for command in root.get_subcommands_mut().filter(shown) {
        section("##", command, &mut text);
        for order in command.get_subcommands_mut().filter(shown) {
            section("###", order, &mut text);
        }
    }
    text
}

fn section(heading: &str, command: &mut clap::Command, text: &mut String) {
    let help = command.render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name()).to_owned();
    write!(text, "\n{heading} {name}\n\n```text\n{}\n```\n", help.join("\n").trim()).unwrap();
}
