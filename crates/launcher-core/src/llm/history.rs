//! What an assistant remembers of a conversation.
//!
//! A conversation is a room, or a thread in it. It is kept in exchanges: what
//! somebody asked, and what was answered. They are forgotten whole, the oldest
//! first, so that a model never sees half of one. What is over the budget can
//! be summed up by the model first.

use serde::{Deserialize, Serialize};

use super::estimate::{Estimator, MESSAGE};
use crate::names::{EventId, UserId};

/// How many exchanges are kept, however short they are.
const MOST: usize = 400;

/// Of how many exchanges it is known that they are in the summary.
const COVERED: usize = 1000;

/// One question and its answer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// The message that asked.
    pub event: EventId,
    /// Who asked.
    pub user: UserId,
    /// What was asked.
    pub asked: String,
    /// What was answered.
    pub answered: String,
    /// When, in seconds since 1970.
    pub at: u64,
}

/// What is remembered of one conversation.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// What the model wrote down of what is no longer here; or nothing.
    summary: String,
    /// What the summary was made of, the oldest first.
    covered: Vec<EventId>,
    /// The oldest first.
    exchanges: Vec<Exchange>,
    /// What is known of how many tokens a text has.
    pub estimator: Estimator,
}

// No `Debug` of its own: both hold what people said.
impl std::fmt::Debug for Exchange {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Exchange").field("event", &self.event).finish_non_exhaustive()
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
        self.exchanges.iter().map(|known| known.at).max().unwrap_or_default()
    }

    /// Who asked the question of this message.
    pub fn asker(&self, event: &EventId) -> Option<&UserId> {
        self.exchanges.iter().find(|known| known.event == *event).map(|known| &known.user)
    }

    /// Adds an exchange. If the message has one already, that is replaced: an
    /// answer that is given again is one answer.
    pub fn add(&mut self, exchange: Exchange) {
        match self.exchanges.iter_mut().find(|known| known.event == exchange.event) {
            Some(known) => *known = exchange,
            None => self.exchanges.push(exchange),
        }
        let over = self.exchanges.len().saturating_sub(MOST);
        self.exchanges.drain(..over);
    }

    /// Takes in that a message says something else now.
    ///
    /// If it is only in the summary, the summary is dropped: nobody can say
    /// what of it came from there.
    pub fn edit(&mut self, event: &EventId, text: &str) -> bool {
        match self.exchanges.iter_mut().find(|known| known.event == *event) {
            Some(known) => {
                known.asked = text.to_owned();
                true
            }
            None => self.drop_summary_of(event),
        }
    }

    /// Takes in that a message was taken back: it and its answer are forgotten.
    pub fn redact(&mut self, event: &EventId) -> bool {
        let before = self.exchanges.len();
        self.exchanges.retain(|known| known.event != *event);
        self.exchanges.len() < before || self.drop_summary_of(event)
    }

    fn drop_summary_of(&mut self, event: &EventId) -> bool {
        let covered = self.covered.contains(event);
        if covered {
            self.summary.clear();
            self.covered.clear();
        }
        covered
    }

    /// Forgets what was said before `oldest`, in seconds since 1970. The
    /// summary goes when nothing is left that followed it.
    pub fn expire(&mut self, oldest: u64) {
        let before = self.exchanges.len();
        self.exchanges.retain(|known| known.at >= oldest);
        if self.exchanges.is_empty() && before > 0 {
            self.summary.clear();
            self.covered.clear();
        }
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

    /// Replaces what was summed up, up to and with the exchange of `last`, by
    /// `summary`, which says all that the summary before it said.
    pub fn summarize(&mut self, last: &EventId, summary: String) {
        let Some(index) = self.exchanges.iter().position(|known| known.event == *last) else {
            return;
        };
        self.covered.extend(self.exchanges.drain(..=index).map(|known| known.event));
        let over = self.covered.len().saturating_sub(COVERED);
        self.covered.drain(..over);
        self.summary = summary;
    }

    /// Drops what does not fit into `budget`.
    pub fn trim(&mut self, budget: u64) {
        let cut = self.cut(budget);
        self.exchanges.drain(..cut);
    }

    /// How many tokens an exchange takes.
    fn cost(&self, exchange: &Exchange) -> u64 {
        let bytes = exchange.asked.len() + exchange.user.as_str().len() + exchange.answered.len();
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
mod tests {
    use super::*;

    /// Costs 100 tokens and 12 for its two messages.
    fn exchange(number: u64) -> Exchange {
        Exchange {
            event: EventId::new(format!("${number}")),
            user: UserId::new("@alice:hs"),
            asked: "q".repeat(141),
            answered: "a".repeat(150),
            at: number,
        }
    }

    fn history(count: u64) -> History {
        let mut history = History::default();
        (0..count).for_each(|number| history.add(exchange(number)));
        history
    }

    fn numbers(exchanges: &[Exchange]) -> Vec<u64> {
        exchanges.iter().map(|exchange| exchange.at).collect()
    }

    #[test]
    fn the_newest_exchanges_are_kept_whole() {
        let history = history(5);
        for (budget, kept) in [
            (0, vec![]),
            (111, vec![]),
            (112, vec![4]),
            (224, vec![3, 4]),
            (300, vec![3, 4]),
            (10_000, vec![0, 1, 2, 3, 4]),
        ] {
            assert_eq!(numbers(history.within(budget)), kept, "{budget}");
        }
    }

    #[test]
    fn a_long_message_does_not_let_older_ones_through() {
        let mut history = history(2);
        history.add(Exchange { asked: "long ".repeat(1000), ..exchange(2) });
        history.add(exchange(3));
        assert_eq!(numbers(history.within(500)), [3]);
    }

    #[test]
    fn what_is_over_the_budget_makes_room_for_more_than_one_message() {
        let mut history = history(10);
        assert_eq!(numbers(history.overflow(1120)), Vec::<u64>::new());
        let summed_up = history.overflow(1119);
        assert_eq!(numbers(summed_up), [0, 1, 2, 3, 4, 5]);
        let last = summed_up.last().unwrap().event.clone();
        history.summarize(&last, "They talked about tea.".into());
        assert_eq!(numbers(history.within(10_000)), [6, 7, 8, 9]);
        assert_eq!(history.summary(), "They talked about tea.");
        assert!(history.overflow(1119).is_empty());
    }

    #[test]
    fn an_edit_changes_what_was_asked() {
        let mut history = history(2);
        assert!(history.edit(&EventId::new("$1"), "something else"));
        assert_eq!(history.within(10_000)[1].asked, "something else");
        assert!(!history.edit(&EventId::new("$9"), "unknown"));
    }

    #[test]
    fn what_was_taken_back_is_in_no_summary_either() {
        for change in [
            (|history: &mut History| history.redact(&EventId::new("$1")))
                as fn(&mut History) -> bool,
            |history| history.edit(&EventId::new("$1"), "else"),
        ] {
            let mut history = history(4);
            history.summarize(&EventId::new("$1"), "secret".into());
            assert!(change(&mut history));
            assert_eq!(history.summary(), "");
            assert_eq!(numbers(history.within(10_000)), [2, 3]);
        }
        let mut history = history(2);
        assert!(history.redact(&EventId::new("$0")));
        assert!(!history.redact(&EventId::new("$0")));
        assert_eq!(numbers(history.within(10_000)), [1]);
    }

    #[test]
    fn an_answer_that_is_given_again_is_one_answer() {
        let mut history = history(2);
        history.add(Exchange { answered: "again".into(), ..exchange(0) });
        assert_eq!(numbers(history.within(10_000)), [0, 1]);
        assert_eq!(history.within(10_000)[0].answered, "again");
    }

    #[test]
    fn what_is_too_old_is_forgotten_with_its_summary() {
        let mut history = history(4);
        history.summarize(&EventId::new("$0"), "old".into());
        history.expire(3);
        assert_eq!(numbers(history.within(10_000)), [3]);
        assert_eq!(history.summary(), "old");
        history.expire(4);
        assert!(history.is_empty());
    }

    #[test]
    fn there_is_an_end_to_what_is_kept() {
        let mut history = history(MOST as u64 + 3);
        assert_eq!(history.within(u64::MAX).len(), MOST);
        assert_eq!(history.within(u64::MAX)[0].at, 3);
        history.trim(112);
        assert_eq!(history.within(u64::MAX).len(), 1);
    }

    #[test]
    fn what_people_said_is_not_printed() {
        let history = history(1);
        let printed = format!("{history:?} {:?}", history.within(1000));
        assert!(!printed.contains("qqq") && !printed.contains("aaa"), "{printed}");
    }
}
