//! Which pages fit a line.

use std::collections::{BTreeMap, HashMap};

use aho_corasick::AhoCorasick;
use anyhow::Context;

use super::{
    line::{Line, fold},
    pages::{Book, Page},
};

// How good a sign is. Above `PHRASE` and `SCOPED` comes the length of what fits.
const WHOLE: usize = 2_000;
const SCOPED: usize = 900;
const EVENT: usize = 800;
const LEADING: usize = 700;
const CODE: usize = 450;
const PHRASE: usize = 400;
const SERVER_CODE: usize = 390;
/// What such a page's own event or code counts, and the most that its phrases count.
const GENERAL: usize = 300;

/// The longest part of a phrase that counts.
const LONGEST: usize = 200;

/// The shortest text that is looked for inside of phrases, in bytes.
const SHORTEST_PART: usize = 8;

/// The shortest word that is looked for inside of ids, in bytes.
const SHORTEST_WORD: usize = 4;

/// Fields of log lines that begin with the code of a fault.
const REASONS: [&str; 4] = ["reason", "cause", "error", "fault"];

/// What stands before a code in the errors of commands and in `launcher status`.
const BEFORE: [&str; 2] = ["error:", "why:"];

/// All pages, made ready to be looked up.
#[derive(Debug)]
pub(crate) struct Index<'a> {
    pages: Vec<&'a Page>,
    /// Codes, events and ids.
    codes: HashMap<String, usize>,
    /// An event, what occurs in its line, and the page.
    scoped: Vec<(&'a str, String, usize)>,
    phrases: AhoCorasick,
    /// The page and the length of each phrase.
    of_phrase: Vec<(usize, usize)>,
}

impl<'a> Index<'a> {
    /// Makes ready what a book knows.
    ///
    /// # Errors
    ///
    /// There are too many phrases: a mistake in the program.
    pub(crate) fn of(book: &'a Book) -> anyhow::Result<Self> {
        let pages: Vec<&Page> = book.pages().collect();
        let (mut codes, mut scoped) = (HashMap::new(), Vec::new());
        let (mut phrases, mut of_phrase) = (Vec::new(), Vec::new());
        for (number, page) in pages.iter().enumerate() {
            for code in std::iter::once(&page.id).chain(&page.codes) {
                match code.split_once(':') {
                    Some((event, rest)) => scoped.push((event, fold(rest), number)),
                    None => {
                        codes.insert(fold(code), number);
                    }
                }
            }
            for phrase in page.phrases.iter().map(|phrase| fold(phrase)) {
                of_phrase.push((number, phrase.len()));
                phrases.push(phrase);
            }
        }
        let phrases = AhoCorasick::new(&phrases).context("preparing the pages")?;
        Ok(Self { pages, codes, scoped, phrases, of_phrase })
    }

    /// The pages that fit a line, the best first.
    pub(crate) fn find(&self, line: &Line) -> Vec<&'a Page> {
        let mut scores = Scores::new(&self.pages);
        let text = line.folded();
        let bare = text.trim_matches(|letter: char| !letter.is_alphanumeric());
        if let Some(&page) = self.codes.get(bare) {
            scores.exactly(page);
        }
        if let Some(event) = line.field("event") {
            if let Some(&page) = self.codes.get(event) {
                scores.raise(page, EVENT);
            }
            for (_, rest, page) in self.scoped.iter().filter(|(name, ..)| *name == event) {
                if text.contains(rest.as_str()) {
                    scores.raise(*page, SCOPED + rest.len());
                }
            }
        }
        let reasons = REASONS.iter().filter_map(|name| line.field(name).map(fold));
        for reason in reasons.chain([text.to_owned()]) {
            if let Some(&page) = leading_code(&reason).and_then(|code| self.codes.get(code)) {
                scores.raise(page, LEADING);
            }
        }
        for word in text.split(|letter: char| !is_of_code(letter)) {
            let word = word.trim_matches('.');
            let score = match word.starts_with("m_") {
                true => SERVER_CODE,
                false => CODE,
            };
            if word.contains(['_', '.'])
                && let Some(&page) = self.codes.get(word)
            {
                scores.raise(page, score);
            }
        }
        for found in self.phrases.find_overlapping_iter(text) {
            if let Some(&(page, length)) = self.of_phrase.get(found.pattern().as_usize()) {
                scores.raise(page, PHRASE + length.min(LONGEST));
            }
        }
        scores.best_first()
    }

    /// The pages of which a text is only a part: of an id, of a phrase, of a
    /// sample.
    pub(crate) fn find_part(&self, line: &Line) -> Vec<&'a Page> {
        let text = line.folded();
        let is_word = text.len() >= SHORTEST_WORD && text.chars().all(is_of_code);
        let is_part = text.len() >= SHORTEST_PART;
        let within = |saying: &String| is_part && fold(saying).contains(text);
        let worth = |page: &Page| match page {
            _ if is_word && page.id.contains(text) => 3,
            _ if page.phrases.iter().any(within) => 2,
            _ if page.samples.iter().any(within) => 1,
            _ => 0,
        };
        let mut found: Vec<_> = self.pages.iter().map(|&page| (worth(page), page)).collect();
        found.retain(|(worth, _)| *worth > 0);
        found.sort_by_key(|(worth, _)| std::cmp::Reverse(*worth));
        found.into_iter().map(|(_, page)| page).collect()
    }
}

fn is_of_code(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_' || letter == '.'
}

/// `store_locked` of `why: store_locked: … is held`.
fn leading_code(text: &str) -> Option<&str> {
    let mut text = text.trim_start();
    while let Some(rest) = BEFORE.iter().find_map(|before| text.strip_prefix(before)) {
        text = rest.trim_start();
    }
    let (code, _) = text.split_once(':')?;
    code.chars().all(is_of_code).then_some(code)
}

/// The best sign for each page.
struct Scores<'a, 'i> {
    pages: &'i [&'a Page],
    scores: BTreeMap<usize, usize>,
}

impl<'a, 'i> Scores<'a, 'i> {
    fn new(pages: &'i [&'a Page]) -> Self {
        Self { pages, scores: BTreeMap::new() }
    }

    fn exactly(&mut self, page: usize) {
        self.scores.insert(page, WHOLE);
    }

    fn raise(&mut self, page: usize, score: usize) {
        let is_general = self.pages.get(page).is_some_and(|page| page.general);
        let score = if is_general { score.min(GENERAL) } else { score };
        let best = self.scores.entry(page).or_default();
        *best = (*best).max(score);
    }

    fn best_first(self) -> Vec<&'a Page> {
        let mut order: Vec<(usize, usize)> = self.scores.into_iter().collect();
        order.sort_by_key(|&(page, score)| (std::cmp::Reverse(score), page));
        order.into_iter().filter_map(|(page, _)| self.pages.get(page).copied()).collect()
    }
}
