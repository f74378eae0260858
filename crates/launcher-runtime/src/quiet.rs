//! The hours in which an agent is silent.

use std::time::Duration;

use jiff::{Timestamp, Zoned, tz::TimeZone};
use launcher_core::spec::QuietHours;

/// Whether there is a time zone of this name.
pub fn is_time_zone(name: &str) -> bool {
    TimeZone::get(name).is_ok()
}

/// How much longer it is quiet; `None` if it is not.
pub(crate) fn left(hours: &QuietHours, now: Timestamp) -> Option<Duration> {
    let now = now.to_zoned(TimeZone::get(&hours.timezone).ok()?);
    let minute = u16::try_from(now.hour()).ok()? * 60 + u16::try_from(now.minute()).ok()?;
    let quiet = match hours.from < hours.to {
        true => (hours.from..hours.to).contains(&minute),
        false => minute >= hours.from || minute < hours.to,
    };
    let wait = end(hours, &now, minute)?.timestamp().duration_since(now.timestamp());
    quiet.then(|| wait.unsigned_abs())
}

/// The next moment at which quiet hours end. Where the clocks are changed over
/// it, the first moment after.
fn end(hours: &QuietHours, now: &Zoned, minute: u16) -> Option<Zoned> {
    let day = if minute < hours.to { now.date() } else { now.date().tomorrow().ok()? };
    let (hour, minute) = (i8::try_from(hours.to / 60).ok()?, i8::try_from(hours.to % 60).ok()?);
    let end = now.time_zone().to_ambiguous_zoned(day.at(hour, minute, 0, 0));
    let first = end.clone().compatible().ok()?;
    // The hour that there is twice.
    if first > *now { Some(first) } else { end.later().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(from: u16, to: u16, timezone: &str) -> QuietHours {
        QuietHours { from: from * 60, to: to * 60, timezone: timezone.into(), answer_later: true }
    }

    fn minutes_left(hours: &QuietHours, now: &str) -> Option<u64> {
        left(hours, now.parse().unwrap()).map(|left| left.as_secs() / 60)
    }

    #[test]
    fn hours_over_midnight_and_within_a_day() {
        let night = hours(22, 7, "UTC");
        assert_eq!(minutes_left(&night, "2026-01-10T21:59:00Z"), None);
        assert_eq!(minutes_left(&night, "2026-01-10T22:00:00Z"), Some(9 * 60));
        assert_eq!(minutes_left(&night, "2026-01-11T06:30:00Z"), Some(30));
        assert_eq!(minutes_left(&night, "2026-01-11T07:00:00Z"), None);
        let noon = hours(12, 14, "UTC");
        assert_eq!(minutes_left(&noon, "2026-01-10T13:00:00Z"), Some(60));
        assert_eq!(minutes_left(&noon, "2026-01-10T14:00:00Z"), None);
    }

    #[test]
    fn the_zone_counts_and_so_does_a_change_of_its_clocks() {
        let night = hours(22, 7, "Europe/Madrid");
        assert_eq!(minutes_left(&night, "2026-01-10T21:00:00Z"), Some(9 * 60));
        assert_eq!(minutes_left(&night, "2026-07-10T20:00:00Z"), Some(9 * 60));
        // The night of the 29th of March has an hour less.
        assert_eq!(minutes_left(&night, "2026-03-28T21:00:00Z"), Some(8 * 60));
        // The night of the 25th of October has the hour from two to three twice.
        let long = QuietHours { to: 2 * 60 + 30, ..night };
        assert_eq!(minutes_left(&long, "2026-10-25T00:10:00Z"), Some(20));
        assert_eq!(minutes_left(&long, "2026-10-25T00:40:00Z"), None);
        assert_eq!(minutes_left(&long, "2026-10-25T01:10:00Z"), Some(20));
        assert!(is_time_zone("Asia/Tokyo") && !is_time_zone("Mars/Olympus"));
    }
}
