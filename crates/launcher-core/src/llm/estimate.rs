//! How many tokens a text has, without the vendor's tables.
//!
//! Every model cuts text its own way. A token is about four bytes of English
//! and about three of most else, so three is the cautious guess; what the
//! provider then reports corrects it.

use serde::{Deserialize, Serialize};

/// What one image counts, whatever its size. The providers' own rules come to
/// between 85 and 1,600 for what people send.
pub const IMAGE: u64 = 1600;

/// What each message costs beside its text: who says it, where it ends.
pub const MESSAGE: u64 = 6;

/// No correction, in thousandths.
const NEUTRAL: u32 = 1000;

/// The smallest and the largest correction that is believed.
const BOUNDS: (u32, u32) = (500, 3000);

/// Guesses, and learns from what providers report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimator {
    /// The correction in thousandths.
    factor: u32,
}

impl Default for Estimator {
    fn default() -> Self {
        Self { factor: NEUTRAL }
    }
}

impl Estimator {
    /// About how many tokens a text of this many bytes has.
    pub fn tokens(&self, bytes: usize) -> u64 {
        let guess = u64::try_from(bytes.div_ceil(3)).unwrap_or(u64::MAX);
        self.corrected(guess)
    }

    /// How many tokens a text of this many bytes has at most, or nearly so: no
    /// correction that was learnt from other texts makes it less.
    pub fn at_most(&self, bytes: usize) -> u64 {
        self.tokens(bytes).max(Self::default().tokens(bytes))
    }

    /// A guess of a whole question, corrected.
    fn corrected(&self, guess: u64) -> u64 {
        guess.saturating_mul(u64::from(self.factor)).div_ceil(u64::from(NEUTRAL))
    }

    /// Takes in that a question of `estimated` tokens had `reported`. Questions
    /// below a hundred tokens are left out: there the provider's own words
    /// weigh more than ours.
    pub fn learn(&mut self, estimated: u64, reported: u64) {
        if estimated < 100 || reported == 0 {
            return;
        }
        let right = u64::from(self.factor).saturating_mul(reported) / estimated;
        let (low, high) = BOUNDS;
        let right = u32::try_from(right).unwrap_or(high).clamp(low, high);
        // A quarter of the way each time: one odd answer does not decide.
        self.factor = (self.factor * 3 + right) / 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_three_bytes_until_something_else_is_known() {
        let estimator = Estimator::default();
        for (bytes, tokens) in [(0, 0), (1, 1), (3, 1), (4, 2), (3000, 1000)] {
            assert_eq!(estimator.tokens(bytes), tokens);
        }
    }

    #[test]
    fn guesses_come_closer_to_what_is_reported() {
        let mut estimator = Estimator::default();
        for _ in 0..40 {
            let estimated = estimator.tokens(30_000);
            estimator.learn(estimated, 7_500);
        }
        assert!((7_400..7_600).contains(&estimator.tokens(30_000)));
        // What is reckoned with is not less for that.
        assert_eq!(estimator.at_most(30_000), 10_000);
        estimator.learn(1_000, 100_000);
        assert_eq!(estimator.at_most(30_000), estimator.tokens(30_000));
    }

    #[test]
    fn what_cannot_be_true_is_not_believed_whole() {
        let mut estimator = Estimator::default();
        for _ in 0..100 {
            estimator.learn(1_000, u64::MAX);
        }
        assert!(estimator.tokens(3_000) <= 3_000);
        for _ in 0..100 {
            estimator.learn(1_000_000, 1);
        }
        assert!(estimator.tokens(3_000) >= 500);
        let before = estimator;
        estimator.learn(99, 400);
        estimator.learn(5_000, 0);
        assert_eq!(estimator, before);
    }
}
