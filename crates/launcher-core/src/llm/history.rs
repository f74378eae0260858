//! What an assistant remembers of a conversation.
//!
//! A conversation is a room, or a thread in it. It is kept in exchanges: what
//! somebody asked, and what was answered. They are forgotten whole, the oldest
//! first, so that a model never sees half of one. What is over the budget can
//! be summed up by the model first. Of a summary it is known which messages
//! went into it: it is dropped when one of them must not be known any more.

use serde::{Deserialize, Serialize};

use super::{
    estimate::{Estimator, MESSAGE},
    plain,
};
use crate::names::{EventId, UserId};

/// How many exchanges are kept, however short they are.
const MOST: usize = 400;

/// Of how many exchanges a summary can be. Then a new one is begun: what is in
/// it without being known to be could not be taken out again.
const COVERED: usize = 1000;

/// A message that asked, or a part of what asked.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The message.
    pub event: EventId,
    /// What it says.
    pub text: String,
}

/// One question and its answer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// What was asked. The last part is the message that was answered.
    pub asked: Vec<Part>,
    /// Who asked.
    pub user: UserId,
    /// The file that was asked about: what it is, and what is in it if that is
    /// remembered.
    pub file: Option<String>,
    /// What was answered.
    pub answered: String,
    /// The events that say so, as far as they are known.
    pub answers: Vec<EventId>,
    /// When, in seconds since 1970.
    pub at: u64,
}

/// Messages that are in a summary.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Covered {
    events: Vec<EventId>,
    answers: Vec<EventId>,
    user: UserId,
    at: u64,
}

/// What is remembered of one conversation.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// What the model wrote down of what is no longer here; or nothing.
    summary: String,
    /// What the summary was made of, the oldest first.
    covered: Vec<Covered>,
    /// The oldest first.
    exchanges: Vec<Exchange>,
    /// What is known of how many tokens a text has.
    pub estimator: Estimator,
}

// No `Debug` of its own: they hold what people said.
impl std::fmt::Debug for Exchange {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let event = self.asked.last().map(|part| &part.event);
        formatter.debug_struct("Exchange").field("event", &event).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Part {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Part").field("event", &self.event).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for History {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("History")
            .field("exchanges", &self.exchanges.len())
            .finish_non_exhaustive()
    }
}

impl Exchange {
    /// The whole question, without who asked it.
    pub fn question(&self) -> String {
        question(&self.asked, self.file.as_deref())
    }

    fn has(&self, event: &EventId) -> bool {
        self.asked.iter().any(|part| part.event == *event)
    }

    /// The message that was answered.
    fn event(&self) -> Option<&EventId> {
        self.asked.last().map(|part| &part.event)
    }

    fn covered(self) -> Covered {
        let events = self.asked.into_iter().map(|part| part.event).collect();
        Covered { events, answers: self.answers, user: self.user, at: self.at }
    }
}

/// What is asked: the parts in their order, and the file.
pub fn question(asked: &[Part], file: Option<&str>) -> String {
    let texts = asked.iter().map(|part| part.text.as_str()).chain(file);
    texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n")
}

impl History {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.summary.is_empty() && self.exchanges.is_empty()
    }

    /// What is remembered of what is no longer here; empty if nothing is.
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// When something was last added, in seconds since 1970; 0 if nothing is here.
    pub fn last(&self) -> u64 {
        let covered = self.covered.iter().map(|known| known.at);
        covered.chain(self.exchanges.iter().map(|known| known.at)).max().unwrap_or_default()
    }

    /// Who wrote this message, if it is remembered or in the summary.
    pub fn author(&self, event: &EventId) -> Option<&UserId> {
        let covered = self.covered.iter().find(|known| known.events.contains(event));
        let asked = self.exchanges.iter().find(|known| known.has(event));
        asked.map(|known| &known.user).or(covered.map(|known| &known.user))
    }

    /// Adds an exchange. If the message has one already, that is replaced: an
    /// answer that is given again is one answer.
    pub fn add(&mut self, exchange: Exchange) {
        match self.exchanges.iter_mut().find(|known| known.event() == exchange.event()) {
            Some(known) => *known = exchange,
            None => self.exchanges.push(exchange),
        }
        let over = self.exchanges.len().saturating_sub(MOST);
        self.exchanges.drain(..over);
    }

    /// Takes in that `event` answers the message `asked`; says whether that is
    /// new, and of something that is remembered.
    pub fn answered(&mut self, asked: &EventId, event: &EventId) -> bool {
        let known = self.exchanges.iter_mut().find(|known| known.event() == Some(asked));
        let new = known.filter(|known| !known.answers.contains(event));
        new.map(|known| known.answers.push(event.clone())).is_some()
    }

    /// Takes in that a message says something else now.
    ///
    /// If it is only in the summary, the summary is dropped: nobody can say
    /// what of it came from there.
    pub fn edit(&mut self, event: &EventId, text: &str) -> bool {
        let Some(known) = self.exchanges.iter_mut().find(|known| known.has(event)) else {
            return self.drop_summary_of(event);
        };
        for part in known.asked.iter_mut().filter(|part| part.event == *event) {
            text.clone_into(&mut part.text);
        }
        true
    }

    /// Takes in that a message was taken back, or the answer to it: both are
    /// forgotten.
    pub fn redact(&mut self, event: &EventId) -> bool {
        let before = self.exchanges.len();
        self.exchanges.retain(|known| !known.has(event) && !known.answers.contains(event));
        self.exchanges.len() < before || self.drop_summary_of(event)
    }

    fn drop_summary_of(&mut self, event: &EventId) -> bool {
        let covered = self
            .covered
            .iter()
            .any(|known| known.events.contains(event) || known.answers.contains(event));
        if covered {
            self.drop_summary();
        }
        covered
    }

    fn drop_summary(&mut self) {
        self.summary.clear();
        self.covered.clear();
    }

    /// Forgets what was said before `oldest`, in seconds since 1970; says
    /// whether there was any. A summary is as old as the oldest of what is in it.
    pub fn expire(&mut self, oldest: u64) -> bool {
        let before = self.exchanges.len();
        self.exchanges.retain(|known| known.at >= oldest);
        let summary = self.covered.iter().any(|known| known.at < oldest);
        if summary {
            self.drop_summary();
        }
        summary || self.exchanges.len() < before
    }

    /// The newest exchanges that fit into this many tokens, the oldest first.
    pub fn within(&self, budget: u64) -> &[Exchange] {
        self.exchanges.get(self.cut(budget)..).unwrap_or_default()
    }

    /// What does not fit into `budget` and can be summed up: enough that half
    /// of the budget is free again, so that this is not done at every message.
    pub fn overflow(&self, budget: u64) -> &[Exchange] {
        if self.cut(budget) == 0 {
            return &[];
        }
        self.exchanges.get(..self.cut(budget / 2)).unwrap_or_default()
    }

    /// The summary that these many exchanges more can be put into: the present
    /// one, unless it is of so many that a new one is begun. Then it is dropped.
    pub fn summary_for(&mut self, more: usize) -> &str {
        if self.covered.len().saturating_add(more) > COVERED {
            self.drop_summary();
        }
        &self.summary
    }

    /// Replaces what was summed up, the first `count` exchanges, by `summary`,
    /// which says all that [`History::summary_for`] said.
    pub fn summarize(&mut self, count: usize, summary: String) {
        let count = count.min(self.exchanges.len());
        self.covered.extend(self.exchanges.drain(..count).map(Exchange::covered));
        self.summary = summary;
    }

    /// Drops what does not fit into `budget`.
    pub fn trim(&mut self, budget: u64) {
        let cut = self.cut(budget);
        self.exchanges.drain(..cut);
    }

    /// How many tokens an exchange takes.
    fn cost(&self, exchange: &Exchange) -> u64 {
        let question = exchange.question();
        let bytes = question.len()
            + plain::indentation(&question)
            + exchange.user.as_str().len()
            + exchange.answered.len();
        self.estimator.tokens(bytes).saturating_add(2 * MESSAGE)
    }

    /// The index of the oldest exchange that fits.
    fn cut(&self, budget: u64) -> usize {
        let mut left = budget;
        let mut first = self.exchanges.len();
        for (index, exchange) in self.exchanges.iter().enumerate().rev() {
            match left.checked_sub(self.cost(exchange)) {
                Some(rest) => left = rest,
                None => break,
            }
            first = index;
        }
        first
    }
}

#[cfg(test)]
mod tests;
