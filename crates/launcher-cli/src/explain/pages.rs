//! What is known, as data: `pages/*.toml`, a file per chapter.
//!
//! A page is a `[[page]]` with
//!
//! - `id`: what it is called, and the code, event or `reason` that it explains;
//! - `codes`: further ones. `event:text` is for lines with that `event` in which
//!   the text occurs, such as the code of a refusal;
//! - `general = true`: it says little by itself; whatever else fits a line
//!   explains it better;
//! - `phrases`: what lines say that it explains, in any case and without
//!   accents, in either language. A longer phrase is the better sign;
//! - `samples`: lines that it has to explain; the first is shown in the docs;
//! - `also`: other pages; `see`: places under `docs/`, with their heading;
//! - `en` and `es`, each with `title`, `cause`, `consequence` and `cure`.
//!   `ID` in a command in backticks becomes the agent's id.
//!
//! After a change, `make reference` writes `docs/troubleshooting` anew.

use anyhow::Context;
use clap::ValueEnum;
use serde::Deserialize;

const CHAPTERS: [(&str, &str); 18] = [
    ("config.toml", include_str!("pages/config.toml")),
    ("agent.toml", include_str!("pages/agent.toml")),
    ("store.toml", include_str!("pages/store.toml")),
    ("disk.toml", include_str!("pages/disk.toml")),
    ("device.toml", include_str!("pages/device.toml")),
    ("account.toml", include_str!("pages/account.toml")),
    ("server.toml", include_str!("pages/server.toml")),
    ("messager.toml", include_str!("pages/messager.toml")),
    ("reading.toml", include_str!("pages/reading.toml")),
    ("answering.toml", include_str!("pages/answering.toml")),
    ("trust.toml", include_str!("pages/trust.toml")),
    ("people.toml", include_str!("pages/people.toml")),
    ("commands.toml", include_str!("pages/commands.toml")),
    ("robots.toml", include_str!("pages/robots.toml")),
    ("assistants.toml", include_str!("pages/assistants.toml")),
    ("making.toml", include_str!("pages/making.toml")),
    ("orders.toml", include_str!("pages/orders.toml")),
    ("clients.toml", include_str!("pages/clients.toml")),
];

/// A language in which there is a text of each page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// English
    En,
    /// Spanish
    Es,
}

/// Everything that is known.
#[derive(Debug)]
pub(crate) struct Book {
    pub(crate) chapters: Vec<Chapter>,
}

/// Pages that belong together.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Chapter {
    chapter: Heading,
    #[serde(rename = "page")]
    pub(crate) pages: Vec<Page>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Heading {
    en: String,
    es: String,
}

/// What is known about one thing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) general: bool,
    #[serde(default)]
    pub(crate) codes: Vec<String>,
    #[serde(default)]
    pub(crate) phrases: Vec<String>,
    pub(crate) samples: Vec<String>,
    #[serde(default)]
    pub(crate) also: Vec<String>,
    #[serde(default)]
    pub(crate) see: Vec<String>,
    en: Text,
    es: Text,
}

/// A page in one language. Lines are as wide as they are to be shown.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Text {
    /// What it is, in a few words.
    pub(crate) title: String,
    /// Why it happens.
    pub(crate) cause: String,
    /// What follows from it.
    pub(crate) consequence: String,
    /// What helps.
    pub(crate) cure: String,
}

impl Book {
    /// Reads the pages that are in the program.
    ///
    /// # Errors
    ///
    /// A page is not written as it should be: a mistake in the program.
    pub(crate) fn open() -> anyhow::Result<Self> {
        let chapter = |(name, text): (&str, &str)| {
            toml::from_str(text).with_context(|| format!("reading the pages of {name}"))
        };
        Ok(Self { chapters: CHAPTERS.into_iter().map(chapter).collect::<Result<_, _>>()? })
    }

    /// All pages, in their order.
    pub(crate) fn pages(&self) -> impl Iterator<Item = &Page> {
        self.chapters.iter().flat_map(|chapter| &chapter.pages)
    }
}

impl Chapter {
    pub(crate) fn title(&self, language: Language) -> &str {
        match language {
            Language::En => &self.chapter.en,
            Language::Es => &self.chapter.es,
        }
    }
}

impl Page {
    pub(crate) fn text(&self, language: Language) -> &Text {
        match language {
            Language::En => &self.en,
            Language::Es => &self.es,
        }
    }
}
