//! What asking a model costs, and whether there is anything left for today.
//!
//! What a question may cost at most is taken from the day's limit before it is
//! asked, and put right when the provider has said what it was. So answers that
//! are written side by side cannot spend the same rest, and what a kill cuts
//! off stays booked.
//!
//! Everything is counted in whole numbers: tokens, and millionths of whatever
//! money the operator reckons in.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How many micro-units one unit of money has.
pub const MICRO: u64 = 1_000_000;

/// What a model costs, in micro-units for a million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// For what the model reads.
    pub input: u64,
    /// For what it writes.
    pub output: u64,
    /// For what it has read before; `None`: as much as for anything it reads.
    pub cached: Option<u64>,
}

/// How many tokens a question and its answer had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// What the model read, all of it.
    pub input: u64,
    /// The part of that which it had read before.
    pub cached: u64,
    /// What it wrote.
    pub output: u64,
}

impl Price {
    /// What this many tokens cost, rounded up to a micro-unit.
    pub fn cost(&self, usage: Usage) -> u64 {
        let cached = usage.cached.min(usage.input);
        let part = |tokens: u64, price: u64| u128::from(tokens) * u128::from(price);
        let total = part(usage.input - cached, self.input)
            + part(cached, self.cached.unwrap_or(self.input))
            + part(usage.output, self.output);
        u64::try_from(total.div_ceil(u128::from(MICRO))).unwrap_or(u64::MAX)
    }
}

/// What an agent may spend on a day. Nothing stands for no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Tokens, read and written.
    pub tokens: Option<u64>,
    /// Money, in micro-units.
    pub money: Option<u64>,
}

/// An amount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// Tokens, read and written.
    pub tokens: u64,
    /// Money, in micro-units.
    pub money: u64,
}

impl Amount {
    /// What these tokens are, at this price.
    pub fn of(usage: Usage, price: Option<&Price>) -> Self {
        Self {
            tokens: usage.input.saturating_add(usage.output),
            money: price.map_or(0, |price| price.cost(usage)),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.saturating_add(other.tokens),
            money: self.money.saturating_add(other.money),
        }
    }

    /// The larger of both, each for itself.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { tokens: self.tokens.max(other.tokens), money: self.money.max(other.money) }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.saturating_sub(other.tokens),
            money: self.money.saturating_sub(other.money),
        }
    }
}

/// What is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsedUp {
    /// The day's tokens.
    Tokens,
    /// The day's money.
    Money,
}

impl UsedUp {
    /// What it is in one word, for machines: stable, `snake_case`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Tokens => "tokens_per_day",
            Self::Money => "money_per_day",
        }
    }

    /// What is said in the room.
    pub fn refusal(self, timezone: &str) -> String {
        format!("{self}. I can answer again after midnight ({timezone}).")
    }
}

impl fmt::Display for UsedUp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Tokens => "What I may read and write in a day is used up",
            Self::Money => "What I may spend in a day is used up",
        })
    }
}

/// What an agent has spent on one day. Days are named by the caller, in the
/// agent's time zone; what was spent on another one does not count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Day {
    date: String,
    spent: Amount,
}

/// Something that was taken from a day before it was spent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "what is taken has to be settled"]
pub struct Reserved {
    date: String,
    amount: Amount,
}

impl Reserved {
    /// How much was taken.
    pub fn amount(&self) -> Amount {
        self.amount
    }
}

impl Day {
    /// The day; empty if nothing was spent yet.
    pub fn date(&self) -> &str {
        &self.date
    }

    /// What was spent on `date`, with what is reserved.
    pub fn spent(&self, date: &str) -> Amount {
        if self.date == date { self.spent } else { Amount::default() }
    }

    /// Takes `amount` from the day, if that much is left of it.
    ///
    /// # Errors
    ///
    /// What there is not enough of. Nothing is taken then.
    pub fn reserve(
        &mut self,
        date: &str,
        amount: Amount,
        limits: &Limits,
    ) -> Result<Reserved, UsedUp> {
        let after = self.spent(date).plus(amount);
        if limits.tokens.is_some_and(|limit| after.tokens > limit) {
            return Err(UsedUp::Tokens);
        }
        if limits.money.is_some_and(|limit| after.money > limit) {
            return Err(UsedUp::Money);
        }
        *self = Self { date: date.to_owned(), spent: after };
        Ok(Reserved { date: date.to_owned(), amount })
    }

    /// Puts right what was reserved: `actual` was spent.
    ///
    /// What was reserved on a day that is over is booked there, and that is
    /// forgotten.
    pub fn settle(&mut self, reserved: Reserved, actual: Amount) {
        if self.date == reserved.date {
            self.spent = self.spent.minus(reserved.amount).plus(actual);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRICE: Price = Price { input: 3 * MICRO, output: 15 * MICRO, cached: Some(300_000) };

    fn usage(input: u64, cached: u64, output: u64) -> Usage {
        Usage { input, cached, output }
    }

    #[test]
    fn a_price_is_for_a_million_tokens() {
        assert_eq!(PRICE.cost(usage(MICRO, 0, 0)), 3 * MICRO);
        assert_eq!(PRICE.cost(usage(0, 0, MICRO)), 15 * MICRO);
        assert_eq!(PRICE.cost(usage(1_000, 900, 10)), 300 + 270 + 150);
        assert_eq!(PRICE.cost(usage(0, 0, 0)), 0);
        // A micro-unit is the least that is booked.
        let cheap = Price { input: 1, output: 1, cached: None };
        assert_eq!(cheap.cost(usage(1, 1, 0)), 1);
        // More was cached than read: nothing is invented.
        assert_eq!(PRICE.cost(usage(10, 20, 0)), 3);
        assert_eq!(PRICE.cost(usage(u64::MAX, 0, u64::MAX)), u64::MAX);
    }

    #[test]
    fn answers_side_by_side_cannot_spend_the_same_rest() {
        let limits = Limits { tokens: Some(100), money: None };
        let amount = |tokens| Amount { tokens, money: 0 };
        let mut day = Day::default();
        let first = day.reserve("2026-11-22", amount(60), &limits).unwrap();
        assert_eq!(day.reserve("2026-11-22", amount(60), &limits), Err(UsedUp::Tokens));
        day.settle(first, amount(20));
        assert_eq!(day.spent("2026-11-22"), amount(20));
        let second = day.reserve("2026-11-22", amount(80), &limits).unwrap();
        day.settle(second, amount(80));
        assert_eq!(day.reserve("2026-11-22", amount(1), &limits), Err(UsedUp::Tokens));
    }

    #[test]
    fn each_day_begins_with_nothing_spent() {
        let limits = Limits { tokens: None, money: Some(10) };
        let amount = |money| Amount { tokens: 5, money };
        let mut day = Day::default();
        let late = day.reserve("2026-11-22", amount(10), &limits).unwrap();
        assert_eq!(day.reserve("2026-11-22", amount(1), &limits), Err(UsedUp::Money));
        let early = day.reserve("2026-11-23", amount(4), &limits).unwrap();
        assert_eq!(day.spent("2026-11-22"), Amount::default());
        // What was begun before midnight is not booked on the new day.
        day.settle(late, amount(10));
        day.settle(early, amount(3));
        assert_eq!(day.spent("2026-11-23"), amount(3));
    }

    #[test]
    fn without_limits_there_is_always_enough() {
        let most = Amount { tokens: u64::MAX, money: u64::MAX };
        let mut day = Day::default();
        for _ in 0..2 {
            assert!(day.reserve("2026-11-22", most, &Limits::default()).is_ok());
        }
    }

    #[test]
    fn a_refusal_says_when_it_ends() {
        assert_eq!(
            UsedUp::Money.refusal("Europe/Madrid"),
            "What I may spend in a day is used up. I can answer again after midnight (Europe/Madrid)."
        );
    }
}
