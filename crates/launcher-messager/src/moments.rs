//! How far a server is believed that says what time it is.
//!
//! Rows are asked for from a position on, and what is written before it is never
//! read. So a clock that was ahead once must not move it: what moves it is rows.

/// How wrong clocks may be, in milliseconds.
const LEEWAY: u64 = 60 * 60 * 1000;

/// Where to read from for the first time: now, by the server's clock if that is
/// not far ahead of this computer's.
pub(crate) fn first(named: u64, now: u64) -> u64 {
    if named <= now.saturating_add(LEEWAY) { named } else { now }
}

/// Where to read on from when there was nothing behind `before`. It follows both
/// clocks at a distance: what is in a room that is joined later does not begin
/// with the last row before that, however long ago that was.
pub(crate) fn idle(before: u64, named: u64, now: u64) -> u64 {
    before.max(named.min(now).saturating_sub(LEEWAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: u64 = 253_402_300_799_000;

    #[test]
    fn a_clock_that_is_far_ahead_is_not_believed() {
        let now = 10 * LEEWAY;
        assert_eq!(first(now - 7, now), now - 7);
        assert_eq!(first(now + LEEWAY, now), now + LEEWAY);
        assert_eq!(first(now + LEEWAY + 1, now), now);
        assert_eq!(first(FAR, now), now);
        for (named, own) in [(FAR, now), (now, FAR), (now, now)] {
            assert_eq!(idle(3, named, own), now - LEEWAY);
        }
        assert_eq!(idle(now, now, now), now, "it does not go back");
        assert_eq!(idle(FAR, 0, 0), FAR);
    }
}
