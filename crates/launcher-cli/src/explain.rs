//! What an error line means, what follows from it, and what helps.
//!
//! [`pages`] has what is known, as data in two languages. A pasted text goes
//! line by line through [`mod@line`] (what does it say?) and [`matching`] (which
//! pages fit?), and is gathered in a [`Reading`]. [`show`] prints. Nothing of
//! the text itself is printed again but the ids of agents: it may hold secrets.

pub(crate) mod line;
pub(crate) mod matching;
pub(crate) mod pages;
pub(crate) mod show;

#[cfg(test)]
pub(crate) mod markdown;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use launcher_core::agent::AgentId;

use self::{
    line::{Line, Place},
    matching::Index,
    pages::{Language, Page},
};

/// How much of a text without any known line is kept, to be looked at as one
/// line: a terminal may have broken it. In bytes.
const KEPT: usize = 4_096;

/// One page that explains something in a text.
#[derive(Debug)]
pub(crate) struct Explanation<'a> {
    pub(crate) page: &'a Page,
    /// How many lines it explains.
    pub(crate) count: usize,
    /// The agents that these lines are about, where they say so.
    pub(crate) agents: BTreeSet<AgentId>,
    /// Other pages that fit the first of these lines, the best first.
    pub(crate) others: Vec<&'a Page>,
}

/// A text on its way through: a log can be long, so it is not kept.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    index: &'a Index<'a>,
    place: Place,
    found: Vec<Explanation<'a>>,
    unknown: String,
}

impl<'a> Reading<'a> {
    /// Before the first line.
    pub(crate) fn new(index: &'a Index<'a>) -> Self {
        Self { index, place: Place::default(), found: Vec::new(), unknown: String::new() }
    }

    /// Takes in one line.
    pub(crate) fn line(&mut self, text: &str) {
        let Some(line) = self.place.line(text) else { return };
        if self.explained(&line, self.index.find(&line)) || self.unknown.len() > KEPT {
            return;
        }
        self.unknown.push_str(text);
        self.unknown.push(' ');
    }

    /// What explains the text, in the order in which it came up.
    pub(crate) fn end(mut self) -> Vec<Explanation<'a>> {
        if self.found.is_empty() && self.unknown.len() <= KEPT {
            let whole = Line::parse(&self.unknown);
            let pages = match self.index.find(&whole) {
                none if none.is_empty() => self.index.find_part(&whole),
                pages => pages,
            };
            self.explained(&whole, pages);
        }
        self.found
    }

    fn explained(&mut self, line: &Line, pages: Vec<&'a Page>) -> bool {
        let Some((&page, others)) = pages.split_first() else { return false };
        let position = self.found.iter().position(|known| known.page.id == page.id);
        let explanation = match position.and_then(|position| self.found.get_mut(position)) {
            Some(known) => known,
            None => self.found.push_mut(Explanation {
                page,
                count: 0,
                agents: BTreeSet::new(),
                others: others.to_vec(),
            }),
        };
        explanation.count += 1;
        explanation.agents.extend(line.agent().cloned());
        true
    }
}

/// The language of somebody with these variables (POSIX: the first of
/// `LC_ALL`, `LC_MESSAGES` and `LANG` that has a value counts).
pub(crate) fn language(variable: impl Fn(&str) -> Option<String>) -> Language {
    let name = ["LC_ALL", "LC_MESSAGES", "LANG"]
        .into_iter()
        .filter_map(variable)
        .find(|value| !value.is_empty())
        .unwrap_or_default();
    match name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("es")) {
        true => Language::Es,
        false => Language::En,
    }
}
