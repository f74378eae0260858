//! Time as the core sees it: a number that somebody else read off a clock.

use std::time::Duration;

/// A point on a clock that only goes forward, counted from the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// The moment this long after the start of the process.
    pub fn after_start(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// This moment, later by `by`; the end of time when that overflows.
    #[must_use]
    pub fn later(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }

    /// How long `earlier` is ago; zero if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}
