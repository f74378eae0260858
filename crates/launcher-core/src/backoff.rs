//! How long to wait before trying again.

use std::time::Duration;

/// The first wait.
pub const SHORTEST: Duration = Duration::from_secs(1);

/// The longest wait: an operator who repaired something should not have to
/// wonder whether it worked.
pub const LONGEST: Duration = Duration::from_secs(5 * 60);

/// The wait before attempt number `attempt` (0 is the first retry).
///
/// Doubles from [`SHORTEST`] to [`LONGEST`] and is then shortened by up to a
/// half by `jitter` (0.0 to 1.0), so that a hundred agents that lost their
/// server together do not come back together. What the server asked for with
/// `at_least` is never undercut.
pub fn wait(attempt: u32, jitter: f64, at_least: Option<Duration>) -> Duration {
    let doubled = SHORTEST.saturating_mul(2_u32.saturating_pow(attempt.min(16))).min(LONGEST);
    let shortened = if jitter.is_nan() { 0.0 } else { jitter.clamp(0.0, 1.0) / 2.0 };
    let jittered = doubled.mul_f64(1.0 - shortened).max(SHORTEST);
    at_least.map_or(jittered, |asked| jittered.max(asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_from_a_second_to_five_minutes() {
        let waits: Vec<u64> = (0..12).map(|attempt| wait(attempt, 0.0, None).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        assert_eq!(wait(u32::MAX, 0.0, None), LONGEST);
    }

    #[test]
    fn jitter_takes_away_at_most_half() {
        assert_eq!(wait(5, 1.0, None), Duration::from_secs(16));
        assert_eq!(wait(0, 1.0, None), SHORTEST);
        assert_eq!(wait(5, f64::NAN, None), Duration::from_secs(32));
    }

    #[test]
    fn the_server_is_never_asked_earlier_than_it_wants() {
        assert_eq!(wait(0, 0.5, Some(Duration::from_secs(90))), Duration::from_secs(90));
    }
}
