//! How explanations look, for people and for scripts.

use std::fmt::Write as _;

use launcher_core::agent::AgentId;
use serde::Serialize;

use super::{
    Explanation,
    pages::{Book, Language, Page},
};

/// Other pages that are named below the one that fits best.
const OTHERS: usize = 3;

/// Words around the pages.
struct Words {
    cause: &'static str,
    consequence: &'static str,
    cure: &'static str,
    lines: &'static str,
    agents: &'static str,
    others: &'static str,
    also: &'static str,
    see: &'static str,
    list_end: &'static str,
}

fn words(language: Language) -> Words {
    match language {
        Language::En => Words {
            cause: "What it means",
            consequence: "What follows",
            cure: "What helps",
            lines: "lines",
            agents: "agents",
            others: "The line also fits",
            also: "See also",
            see: "More in",
            list_end: "`launcher explain CODE` shows a page; `launcher explain 'LINE'` finds the one \
                       for an error line, `launcher explain - < FILE` those for a log.",
        },
        Language::Es => Words {
            cause: "Qué significa",
            consequence: "Qué implica",
            cure: "Qué hacer",
            lines: "líneas",
            agents: "agentes",
            others: "La línea también encaja con",
            also: "Véase también",
            see: "Más en",
            list_end: "`launcher explain CODE` muestra una página; `launcher explain 'LÍNEA'` busca la \
                       de una línea de error, `launcher explain - < ARCHIVO` las de un registro.",
        },
    }
}

/// What is said about a text of which nothing is known: that, and what to do.
pub(crate) fn nothing_known(language: Language) -> (&'static str, &'static str) {
    match language {
        Language::En => (
            "nothing is known about this text",
            "paste the whole line, or its code; `launcher explain` lists every page, and `launcher \
             doctor` looks at everything that can be wrong",
        ),
        Language::Es => (
            "no se sabe nada de este texto",
            "pegar la línea entera, o su código; `launcher explain` enumera todas las páginas, y \
             `launcher doctor` revisa todo lo que puede fallar",
        ),
    }
}

/// All pages, a line each.
pub(crate) fn list(book: &Book, language: Language) -> Result<String, std::fmt::Error> {
    let width = book.pages().map(|page| page.id.len()).max().unwrap_or(0);
    let mut text = String::new();
    for chapter in &book.chapters {
        writeln!(text, "{}", chapter.title(language))?;
        for page in &chapter.pages {
            writeln!(text, "  {:width$}  {}", page.id, page.text(language).title)?;
        }
        writeln!(text)?;
    }
    writeln!(text, "{}", words(language).list_end)?;
    Ok(text)
}

/// Explanations, one below the other.
pub(crate) fn text(
    explanations: &[Explanation<'_>],
    language: Language,
) -> Result<String, std::fmt::Error> {
    let words = words(language);
    let mut text = String::new();
    for (number, explanation) in explanations.iter().enumerate() {
        if number > 0 {
            writeln!(text, "\n")?;
        }
        let (page, agent) = (explanation.page, only(explanation));
        let said = page.text(language);
        writeln!(text, "{}: {}", page.id, said.title)?;
        let mut notes = Vec::new();
        if explanation.count > 1 {
            notes.push(format!("{} {}", explanation.count, words.lines));
        }
        if agent.is_none() && !explanation.agents.is_empty() {
            let agents: Vec<&str> = explanation.agents.iter().map(AgentId::as_str).collect();
            notes.push(format!("{}: {}", words.agents, agents.join(", ")));
        }
        if !notes.is_empty() {
            writeln!(text, "({})", notes.join("; "))?;
        }
        let parts = [
            (words.cause, &said.cause),
            (words.consequence, &said.consequence),
            (words.cure, &said.cure),
        ];
        for (heading, part) in parts {
            writeln!(text, "\n  {heading}")?;
            for line in fill(part, agent).lines() {
                writeln!(text, "{}", format!("    {line}").trim_end())?;
            }
        }
        let others = explanation.others.iter().take(OTHERS).map(|page| page.id.as_str());
        let others: Vec<&str> = others.collect();
        let also = page.also.iter().map(String::as_str).filter(|id| !others.contains(id));
        let see: Vec<String> = page.see.iter().map(|place| format!("docs/{place}")).collect();
        for (label, names) in [(words.others, others.clone()), (words.also, also.collect())] {
            if !names.is_empty() {
                writeln!(text, "\n  {label}: launcher explain {}", names.join(" | "))?;
            }
        }
        if !see.is_empty() {
            writeln!(text, "\n  {}: {}", words.see, see.join(", "))?;
        }
    }
    Ok(text)
}

/// The agent, if there is only one.
fn only<'a>(explanation: &'a Explanation<'_>) -> Option<&'a AgentId> {
    explanation.agents.first().filter(|_| explanation.agents.len() == 1)
}

/// The text with the agent's id in its commands.
fn fill(text: &str, agent: Option<&AgentId>) -> String {
    let Some(agent) = agent else { return text.to_owned() };
    let parts = text.split('`').enumerate().map(|(number, part)| {
        match number % 2 == 1 && part.starts_with("launcher ") {
            true => {
                let word = |word| if word == "ID" { agent.as_str() } else { word };
                part.split(' ').map(word).collect::<Vec<_>>().join(" ")
            }
            false => part.to_owned(),
        }
    });
    parts.collect::<Vec<_>>().join("`")
}

/// All pages, for a script.
#[derive(Debug, Serialize)]
pub(crate) struct ListReply<'a> {
    pages: Vec<Entry<'a>>,
}

/// Explanations, for a script.
#[derive(Debug, Serialize)]
pub(crate) struct ExplainReply<'a> {
    matches: Vec<Match<'a>>,
}

#[derive(Debug, Serialize)]
struct Entry<'a> {
    id: &'a str,
    chapter: &'a str,
    title: &'a str,
}

#[derive(Debug, Serialize)]
struct Match<'a> {
    id: &'a str,
    count: usize,
    agents: Vec<&'a str>,
    title: &'a str,
    cause: String,
    consequence: String,
    cure: String,
    others: Vec<&'a str>,
    also: &'a [String],
    see: &'a [String],
}

impl<'a> ListReply<'a> {
    pub(crate) fn of(book: &'a Book, language: Language) -> Self {
        let entries = book.chapters.iter().flat_map(|chapter| {
            let entry = |page: &'a Page| Entry {
                id: &page.id,
                chapter: chapter.title(language),
                title: &page.text(language).title,
            };
            chapter.pages.iter().map(entry)
        });
        Self { pages: entries.collect() }
    }
}

impl<'a> ExplainReply<'a> {
    pub(crate) fn of(explanations: &'a [Explanation<'a>], language: Language) -> Self {
        let one = |explanation: &'a Explanation<'a>| {
            let (page, agent) = (explanation.page, only(explanation));
            let text = page.text(language);
            let flowing = |text: &str| unwrapped(&fill(text, agent));
            Match {
                id: &page.id,
                count: explanation.count,
                agents: explanation.agents.iter().map(AgentId::as_str).collect(),
                title: &text.title,
                cause: flowing(&text.cause),
                consequence: flowing(&text.consequence),
                cure: flowing(&text.cure),
                others: explanation.others.iter().map(|page| page.id.as_str()).collect(),
                also: &page.also,
                see: &page.see,
            }
        };
        Self { matches: explanations.iter().map(one).collect() }
    }
}

/// Paragraphs without the line breaks in them.
fn unwrapped(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}
