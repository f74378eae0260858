//! `docs/troubleshooting`: the pages as Markdown.

use std::fmt::Write as _;

use super::pages::{Book, Language, Page};

struct Words {
    title: &'static str,
    start: &'static str,
    cause: &'static str,
    consequence: &'static str,
    cure: &'static str,
    also: &'static str,
    see: &'static str,
}

fn words(language: Language) -> Words {
    match language {
        Language::En => Words {
            title: "What the lines mean",
            start: "Made from the pages of `launcher explain`; do not edit. [En español](es.md).\n\n\
                    Where to start, and what the states mean, is in \
                    [troubleshooting](../guide/troubleshooting.md). `launcher explain 'LINE'` finds \
                    the page for a line, `launcher explain - < FILE` those for a log.",
            cause: "Cause",
            consequence: "Consequence",
            cure: "Cure",
            also: "See also",
            see: "More",
        },
        Language::Es => Words {
            title: "Qué significan las líneas",
            start: "Hecho a partir de las páginas de `launcher explain`; no editar. [In \
                    English](en.md).\n\nPor dónde empezar, y qué significan los estados, está en la \
                    guía [troubleshooting](../guide/troubleshooting.md) (en inglés). `launcher \
                    explain 'LÍNEA' --lang es` busca la página de una línea, `launcher explain - \
                    --lang es < ARCHIVO` las de un registro.",
            cause: "Causa",
            consequence: "Consecuencia",
            cure: "Remedio",
            also: "Véase también",
            see: "Más",
        },
    }
}

/// All pages in one language.
pub(crate) fn of(book: &Book, language: Language) -> String {
    let words = words(language);
    let mut text = format!("# {}\n\n{}\n", words.title, words.start);
    for chapter in &book.chapters {
        let title = chapter.title(language);
        write!(text, "\n- **{title}:** ").unwrap();
        let links: Vec<String> =
            chapter.pages.iter().map(|page| format!("[{0}](#{0})", page.id)).collect();
        text.push_str(&links.join(", "));
    }
    text.push('\n');
    for chapter in &book.chapters {
        write!(text, "\n## {}\n", chapter.title(language)).unwrap();
        for page in &chapter.pages {
            one(&mut text, page, language, &words);
        }
    }
    text
}

fn one(text: &mut String, page: &Page, language: Language, words: &Words) {
    let said = page.text(language);
    write!(text, "\n### {}\n\n**{}**\n", page.id, said.title).unwrap();
    write!(text, "\n```text\n{}\n```\n\n", page.samples[0]).unwrap();
    let parts = [
        (words.cause, &said.cause),
        (words.consequence, &said.consequence),
        (words.cure, &said.cure),
    ];
    for (label, part) in parts {
        // What is below a bullet belongs to it if it is indented.
        let part = part.replace('\n', "\n  ").replace("\n  \n", "\n\n");
        writeln!(text, "- **{label}:** {part}").unwrap();
    }
    let also: Vec<String> = page.also.iter().map(|id| format!("[{id}](#{id})")).collect();
    let see: Vec<String> = page
        .see
        .iter()
        .map(|place| {
            let heading = |(_, heading): (&str, &str)| heading.replace('-', " ");
            let name = place.split_once('#').map_or_else(|| place.clone(), heading);
            format!("[{name}](../{place})")
        })
        .collect();
    for (label, links) in [(words.also, also), (words.see, see)] {
        if !links.is_empty() {
            writeln!(text, "- **{label}:** {}", links.join(", ")).unwrap();
        }
    }
}
