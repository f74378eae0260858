//! There is a page for everything that the launcher can print.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use launcher_core::{
    commands::RefusedCommand, fault::Fault, preflight::Mismatch, trust::Refusal,
    undecryptable::Cause,
};

use super::{
    super::{line::STATES, pages::Page},
    *,
};

const HOW: &str = "add a [[page]] with this `id`, or with it in `codes`, to the chapter that fits in \
                   crates/launcher-cli/src/explain/pages/*.toml, in both languages, and run `make \
                   reference`; crates/launcher-cli/src/explain/pages.rs says how a page is written";

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Crates of which nothing is in the launcher.
const OTHERS: [&str; 3] = ["launcher-testbed", "launcher-bench", "messager-server"];

/// The code of the launcher that runs, file by file.
fn sources() -> Vec<String> {
    let mut found = Vec::new();
    for krate in fs_err::read_dir(repository().join("crates")).unwrap() {
        let krate = krate.unwrap();
        let name = krate.file_name().into_string().unwrap();
        if !OTHERS.contains(&name.as_str()) {
            read(&krate.path().join("src"), &mut found);
        }
    }
    found
}

fn read(folder: &Path, found: &mut Vec<String>) {
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() && name != "tests" {
            read(&path, found);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            found.push(fs_err::read_to_string(&path).unwrap());
        }
    }
}

/// The code that a text begins with, if it does.
fn code(text: &str) -> Option<&str> {
    let end = text.find(|letter: char| !(letter.is_ascii_lowercase() || letter == '_'))?;
    text.get(..end).filter(|code| !code.is_empty())
}

fn missing(codes: impl IntoIterator<Item = String>) -> Vec<String> {
    let known = |page: &Page, code: &String| &page.id == code || page.codes.contains(code);
    let is_missing = |code: &String| !BOOK.pages().any(|page| known(page, code));
    codes.into_iter().collect::<BTreeSet<_>>().into_iter().filter(is_missing).collect()
}

fn assert_all(what: &str, codes: impl IntoIterator<Item = String>) {
    let missing = missing(codes);
    assert!(missing.is_empty(), "no page explains {what} {}: {HOW}", missing.join(", "));
}

#[test]
fn every_fault_has_a_page() {
    let codes = Fault::CODES.into_iter().chain(Mismatch::CODES);
    assert_all("the fault", codes.map(str::to_owned));
}

#[test]
fn every_refusal_has_a_page_for_its_message() {
    let codes = Refusal::ALL.iter().filter(|refusal| refusal.code() != "unsigned");
    assert_all("the refusal", codes.map(|refusal| refusal.code().to_owned()));
    let scoped = Refusal::ALL.iter().map(|refusal| format!("message_refused:{}", refusal.code()));
    assert_all("the refusal", scoped);
    let commands = RefusedCommand::ALL.iter();
    let commands = commands.map(|refused| format!("command_refused:{}", refused.code()));
    assert_all("the refusal", commands);
}

#[test]
fn every_cause_of_an_unreadable_message_has_a_page() {
    assert_all("the cause", Cause::CODES.iter().map(|code| (*code).to_owned()));
    for (cause, page) in [
        (Cause::UnknownSession, "unknown_session"),
        (Cause::UnknownIndex, "unknown_index"),
        (Cause::Withheld("m.unverified".into()), "withheld_unverified"),
        (Cause::Withheld("m.blacklisted".into()), "withheld_blacklisted"),
        (Cause::Withheld("m.no_olm".into()), "withheld_no_olm"),
        (Cause::Withheld("m.new".into()), "withheld"),
        (Cause::SenderNotTrusted(Refusal::Unsigned), "sender_not_trusted"),
        (Cause::Malformed("no ciphertext".into()), "malformed"),
    ] {
        let json = serde_json::json!({ "event": "undecryptable", "reason": cause.to_string() });
        assert_eq!(page_of(&json.to_string()).as_deref(), Some(page), "{cause}");
        assert!(page_of(cause.notice()).is_some(), "{}", cause.notice());
    }
}

#[test]
fn every_event_of_the_log_has_a_page() {
    let sources = sources();
    let named = sources.iter().flat_map(|source| source.split("event = \"").skip(1));
    let mut events: BTreeSet<String> = named.filter_map(code).map(str::to_owned).collect();
    assert!(events.len() > 40, "the sources were not found");
    // Some are made from a fault: those that the guide lists as well.
    let guide = repository().join("docs/guide/troubleshooting.md");
    let guide = fs_err::read_to_string(guide).unwrap();
    let (_, table) = guide.split_once("| event | level |").unwrap();
    for row in table.lines().filter(|row| row.starts_with("| `")) {
        let (names, _) = row[2..].split_once('|').unwrap();
        events.extend(names.split('`').filter(|word| word.contains('_')).map(str::to_owned));
    }
    assert_all("the event", events);
}

#[test]
fn every_code_and_every_state_has_a_page() {
    let mut codes = BTreeSet::new();
    for source in sources() {
        for body in source.split("fn code(&self) -> ").skip(1) {
            let (body, _) = body.split_once("\n    }\n").unwrap_or((body, ""));
            let texts = body.split('"').skip(1).step_by(2);
            let is_code = |text: &&str| code(&format!("{text} ")) == Some(text);
            codes.extend(texts.filter(is_code).map(str::to_owned));
        }
    }
    assert!(codes.len() > 25, "the sources were not found: {codes:?}");
    assert_all("the code", codes);
    assert_all("the state", STATES.map(str::to_owned));
}

/// What an operator's reasons are written behind.
const BEFORE: [&str; 9] = [
    "Refusal::new(",
    "refused(",
    "Quit::usage(",
    "bail!(",
    "anyhow!(",
    "#[error(",
    "let reason =",
    "reason:",
    "no(",
];

/// What stands only beside other reasons, which are explained.
const DETAILS: [&str; 4] = ["the name x x", "x: the name x x", "interrupted", "cannot start"];

/// The reasons in a source, each with something in its gaps.
fn reasons(source: &str) -> Vec<String> {
    let (source, _) = source.split_once("#[cfg(test)]\nmod tests {").unwrap_or((source, ""));
    let behind = BEFORE.iter().flat_map(|before| source.split(before).skip(1));
    let texts = behind.filter_map(|mut rest| {
        for wrapped in ["Some(", "format!("] {
            rest = rest.trim_start();
            rest = rest.strip_prefix(wrapped).unwrap_or(rest);
        }
        rest.trim_start().strip_prefix('"').map(literal)
    });
    texts.filter(|text| text.split([' ', ':', ';', '(', ')']).any(|word| word.len() > 1)).collect()
}

/// A text up to its closing quote, with `x` for what is put in.
fn literal(source: &str) -> String {
    let mut text = String::new();
    let mut letters = source.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => break,
            '\\' => match letters.next() {
                // The line goes on below, behind its indentation.
                Some('\n') => while letters.next_if(|next| next.is_whitespace()).is_some() {},
                Some('n') => text.push('\n'),
                other => text.extend(other),
            },
            '{' if letters.next_if_eq(&'{').is_none() => {
                text.push('x');
                while letters.next().is_some_and(|inside| inside != '}') {}
            }
            letter => text.push(letter),
        }
    }
    text
}

/// Those that no page explains, with what a line has in front of them.
fn unexplained<'a>(before: &str, texts: &'a BTreeSet<String>) -> Vec<&'a str> {
    let texts = texts.iter().map(String::as_str).filter(|text| !DETAILS.contains(text));
    texts.filter(|text| page_of(&format!("{before} {text}")).is_none()).collect()
}

#[test]
fn every_reason_that_is_written_in_the_code_has_a_page() {
    let all: BTreeSet<String> = sources().iter().flat_map(|source| reasons(source)).collect();
    assert!(all.len() > 180, "the sources were not found: {all:?}");
    let missing = unexplained("error:", &all);
    assert!(
        missing.is_empty(),
        "no page explains these reasons of errors; give one a phrase of each, or make one \
         ({HOW}):\n{}",
        missing.join("\n")
    );
}

/// What the log says as a warning or an error in lines without an event: the
/// last text of each call.
fn complaints(source: &str) -> Vec<String> {
    let (source, _) = source.split_once("#[cfg(test)]\nmod tests {").unwrap_or((source, ""));
    let calls = ["warn!(", "error!("].iter().flat_map(|call| source.split(call).skip(1));
    let texts = calls.filter_map(|call| {
        let (mut inside, mut is_named, mut last) = (1, false, None);
        let mut letters = call.char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '(' => inside += 1,
                ')' => inside -= 1,
                '"' => {
                    is_named |= call[..at].trim_end().ends_with("event =");
                    last = Some(at + 1);
                    let mut escaped = false;
                    letters.by_ref().find(|(_, letter)| {
                        let ends = *letter == '"' && !escaped;
                        escaped = *letter == '\\' && !escaped;
                        ends
                    });
                }
                _ => {}
            }
            if inside == 0 {
                break;
            }
        }
        last.filter(|_| !is_named).map(|at| literal(&call[at..]))
    });
    texts.filter(|text| text.len() > 1).collect()
}

#[test]
fn every_warning_of_the_log_has_a_page() {
    let all: BTreeSet<String> = sources().iter().flat_map(|source| complaints(source)).collect();
    assert!(all.len() > 25, "the sources were not found: {all:?}");
    let missing = unexplained("ERROR", &all);
    assert!(
        missing.is_empty(),
        "no page explains these lines of the log ({HOW}):\n{}",
        missing.join("\n")
    );
}

#[test]
fn every_degradation_has_a_page() {
    let mut codes = BTreeSet::new();
    for source in sources() {
        let made = source.split("Degradation {").skip(1);
        for made in made.filter(|made| made.trim_start().starts_with("reason:")) {
            let (reason, _) = made.split_once("action:").unwrap_or((made, ""));
            let texts = reason.split('"').skip(1).step_by(2);
            let begins =
                |text: &&str| code(text).is_some_and(|c| text[c.len()..].starts_with(": "));
            let found: Vec<&str> = texts.filter(begins).filter_map(code).collect();
            assert!(
                !found.is_empty() || reason.contains("fault.reason()"),
                "a degradation's reason does not begin with a code and a colon: {reason}"
            );
            codes.extend(found.into_iter().map(str::to_owned));
        }
    }
    assert!(codes.len() >= 6, "the sources were not found: {codes:?}");
    assert_all("the degradation", codes);
}

#[test]
fn a_page_says_all_in_both_languages_in_lines_that_fit() {
    for page in BOOK.pages() {
        for language in [Language::En, Language::Es] {
            let text = page.text(language);
            assert!(text.title.lines().count() == 1, "{}: a title is one line", page.id);
            for part in [&text.title, &text.cause, &text.consequence, &text.cure] {
                let id = &page.id;
                assert!(!part.trim().is_empty(), "{id}: a part is empty in {language:?}");
                for line in part.lines() {
                    assert!(line.chars().count() <= 100, "{id}: too wide: {line}");
                    assert!(
                        line.matches('`').count() % 2 == 0,
                        "{id}: a command is broken: {line}"
                    );
                }
            }
        }
        let (en, es) = (page.text(Language::En), page.text(Language::Es));
        for (ours, theirs) in
            [(&en.cause, &es.cause), (&en.consequence, &es.consequence), (&en.cure, &es.cure)]
        {
            let commands = |text: &str| {
                let parts = text.split('`').skip(1).step_by(2);
                parts.filter(|part| part.starts_with("launcher ")).map(str::to_owned).collect()
            };
            let (ours, theirs): (BTreeSet<String>, BTreeSet<String>) =
                (commands(ours), commands(theirs));
            assert_eq!(ours, theirs, "{}: other commands in Spanish", page.id);
        }
    }
}

#[test]
fn no_two_pages_claim_the_same_code() {
    let mut seen = BTreeSet::new();
    for page in BOOK.pages() {
        for code in std::iter::once(&page.id).chain(&page.codes) {
            assert!(seen.insert(code.clone()), "`{code}` of the page {} is there twice", page.id);
        }
    }
}

#[test]
fn pages_and_guides_point_at_what_is_there() {
    let docs = repository().join("docs");
    let is_page = |id: &str| BOOK.pages().any(|page| page.id == id);
    for page in BOOK.pages() {
        for other in &page.also {
            assert!(is_page(other) && *other != page.id, "{}: no other page {other}", page.id);
        }
        for place in &page.see {
            let (file, heading) = place.split_once('#').unwrap_or((place, ""));
            let text = fs_err::read_to_string(docs.join(file)).unwrap();
            let anchors: Vec<String> = text.lines().filter_map(anchor).collect();
            let there = heading.is_empty() || anchors.iter().any(|anchor| anchor == heading);
            assert!(there, "{}: docs/{file} has no heading #{heading}", page.id);
        }
    }
    for guide in fs_err::read_dir(docs.join("guide")).unwrap() {
        let path = guide.unwrap().path();
        let text = fs_err::read_to_string(&path).unwrap();
        for link in text.split("troubleshooting/en.md#").skip(1) {
            let id = link.split(')').next().unwrap_or_default();
            assert!(is_page(id), "{}: there is no page {id}", path.display());
        }
    }
}

/// What a heading is called in a link.
fn anchor(line: &str) -> Option<String> {
    let heading = line.strip_prefix('#')?.trim_start_matches('#').trim();
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    Some(kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect())
}
