//! How long to wait before a server is tried again.

use std::time::Duration;

/// The wait after the first attempt that was in vain.
const FIRST: Duration = Duration::from_millis(500);

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(30);

/// Attempts in vain since the last that was not.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// The next wait: twice the last, with up to half of it taken off at random,
    /// so that clients of a server that was away do not all come at once.
    /// `chance` is anything from 0 to `u32::MAX`.
    pub(super) fn next(&mut self, chance: u32) -> Duration {
        let doubled = FIRST.saturating_mul(1_u32.checked_shl(self.attempts).unwrap_or(u32::MAX));
        let wait = doubled.min(LONGEST);
        self.attempts = (self.attempts + 1).min(16);
        wait - wait.mul_f64(0.5 * f64::from(chance) / f64::from(u32::MAX))
    }

    /// It worked.
    pub(super) fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_longest_and_begin_anew_after_it_worked() {
        let mut backoff = Backoff::default();
        let waits: Vec<u128> = (0..8).map(|_| backoff.next(0).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
        assert_eq!(backoff.next(u32::MAX), LONGEST / 2);
        backoff.reset();
        assert_eq!(backoff.next(0), FIRST);
    }
}
