mod complete;
mod matching;
mod shown;

use std::sync::LazyLock;

use super::{
    Explanation, Reading,
    matching::Index,
    pages::{Book, Language},
};

static BOOK: LazyLock<Book> = LazyLock::new(|| Book::open().unwrap());
static INDEX: LazyLock<Index<'static>> = LazyLock::new(|| Index::of(&BOOK).unwrap());

/// The ids of the pages that explain a text, each with its number of lines.
fn explained(text: &str) -> Vec<(String, usize)> {
    with_explanations(text, |found| {
        found.iter().map(|one| (one.page.id.clone(), one.count)).collect()
    })
}

/// The id of the page that explains a line, or nothing.
fn page_of(line: &str) -> Option<String> {
    explained(line).into_iter().next().map(|(id, _)| id)
}

fn with_explanations<T>(text: &str, look: impl FnOnce(&[Explanation<'_>]) -> T) -> T {
    let mut reading = Reading::new(&INDEX);
    text.lines().for_each(|line| reading.line(line));
    look(&reading.end())
}

#[test]
fn the_language_is_that_of_the_first_variable_with_a_value() {
    let of = |variables: &[(&str, &str)]| {
        super::language(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    };
    assert_eq!(of(&[]), Language::En);
    assert_eq!(of(&[("LANG", "es_MX.UTF-8")]), Language::Es);
    assert_eq!(of(&[("LANG", "es_ES"), ("LC_ALL", "C")]), Language::En);
    assert_eq!(of(&[("LANG", "en_US"), ("LC_MESSAGES", "es")]), Language::Es);
    assert_eq!(of(&[("LC_ALL", ""), ("LANG", "es")]), Language::Es);
    assert_eq!(of(&[("LANG", "日本")]), Language::En);
}
