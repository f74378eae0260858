//! Decides whether a scheduled task is to be done.

use std::time::Duration;

use crate::spec::Missed;

/// A task that is no later than this was not missed.
const ON_TIME: Duration = Duration::from_secs(90);

/// What to do about a task. Moments are milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// It is done, for this moment of its schedule.
    Do(u64),
    /// It was missed, and is not done for this moment.
    Skip(u64),
    /// Nothing, now.
    Wait,
}

/// What to do `now` about a task that was last done or skipped for `last`, when
/// the latest moment of its schedule is `previous`. Of several moments that were
/// missed only the latest counts.
pub fn due(last: u64, previous: Option<u64>, now: u64, missed: Missed) -> Due {
    // A clock that was set back makes nothing happen twice.
    let Some(previous) = previous.filter(|&previous| previous > last && previous <= now) else {
        return Due::Wait;
    };
    let late = Duration::from_millis(now - previous);
    let within = match missed {
        Missed::Skip => ON_TIME,
        Missed::Once { within } => within.max(ON_TIME),
    };
    if late <= within { Due::Do(previous) } else { Due::Skip(previous) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;
    const ONCE: Missed = Missed::Once { within: Duration::from_secs(3600) };

    #[test]
    fn a_moment_is_done_once_however_often_it_is_looked_at() {
        assert_eq!(due(10 * MINUTE, Some(20 * MINUTE), 20 * MINUTE, ONCE), Due::Do(20 * MINUTE));
        assert_eq!(due(20 * MINUTE, Some(20 * MINUTE), 21 * MINUTE, ONCE), Due::Wait);
        assert_eq!(due(20 * MINUTE, None, 21 * MINUTE, ONCE), Due::Wait);
    }

    #[test]
    fn what_was_missed_is_done_late_once_or_not_at_all() {
        let (last, previous) = (10 * MINUTE, Some(50 * MINUTE));
        assert_eq!(due(last, previous, 80 * MINUTE, ONCE), Due::Do(50 * MINUTE));
        assert_eq!(due(last, previous, 111 * MINUTE, ONCE), Due::Skip(50 * MINUTE));
        assert_eq!(due(last, previous, 80 * MINUTE, Missed::Skip), Due::Skip(50 * MINUTE));
        assert_eq!(due(last, previous, 51 * MINUTE, Missed::Skip), Due::Do(50 * MINUTE));
    }

    #[test]
    fn a_clock_that_is_set_back_repeats_nothing() {
        assert_eq!(due(50 * MINUTE, Some(40 * MINUTE), 45 * MINUTE, ONCE), Due::Wait);
        assert_eq!(due(10 * MINUTE, Some(40 * MINUTE), 30 * MINUTE, ONCE), Due::Wait);
    }
}
