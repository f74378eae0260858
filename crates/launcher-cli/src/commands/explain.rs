//! `launcher explain`: what an error line means, and what helps.

use std::io::{BufRead, Read};

use anyhow::Context;
use launcher_config::{Environment, ProcessEnvironment};
use launcher_control::wire::Refusal;

use super::json;
use crate::{
    args::Explain,
    exit::{self, Exit},
    explain::{
        Reading, language,
        matching::Index,
        pages::{Book, Language},
        show::{self, ExplainReply, ListReply},
    },
};

/// The longest line that is read, in bytes. What goes on after that counts as
/// the next line.
const LONGEST_LINE: u64 = 1 << 20;

pub(crate) fn run(options: &Explain) -> anyhow::Result<Exit> {
    let language = options.lang.unwrap_or_else(|| language(|name| ProcessEnvironment.var(name)));
    let book = Book::open()?;
    match options.text.as_slice() {
        [] => {
            exit::print(&match options.json {
                true => json(&ListReply::of(&book, language))?,
                false => show::list(&book, language)?,
            });
            Ok(Exit::Done)
        }
        [dash] if dash == "-" => explain(&book, std::io::stdin().lock(), language, options.json),
        words => explain(&book, words.join(" ").as_bytes(), language, options.json),
    }
}

fn explain(
    book: &Book,
    mut text: impl BufRead,
    language: Language,
    as_json: bool,
) -> anyhow::Result<Exit> {
    let index = Index::of(book)?;
    let mut reading = Reading::new(&index);
    let mut line = Vec::new();
    loop {
        line.clear();
        let limited = text.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line);
        if limited.context("reading the text")? == 0 {
            break;
        }
        reading.line(&String::from_utf8_lossy(&line));
    }
    let explanations = reading.end();
    if as_json {
        exit::print(&json(&ExplainReply::of(&explanations, language))?);
    }
    if explanations.is_empty() {
        let (reason, action) = show::nothing_known(language);
        return Err(Refusal::new(reason, action).into());
    }
    if !as_json {
        exit::print(&show::text(&explanations, language)?);
    }
    Ok(Exit::Done)
}
