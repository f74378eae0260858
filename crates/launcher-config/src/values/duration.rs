//! Durations with units: `500ms`, `10s`, `1h30m`.

use std::time::Duration;

use launcher_core::duration::{DurationError, parse};

use super::Fault;

/// The sum of numbers with units.
pub(crate) fn duration(text: &str) -> Result<Duration, Fault> {
    parse(text).map_err(|error| {
        let label = match &error {
            DurationError::NotOne | DurationError::Negative => {
                "write `10s`, `30m`, `12h` or `1d`".to_owned()
            }
            DurationError::NoUnit => unitless(text),
            DurationError::UnknownUnit(_) => {
                "units are `ms`, `s`, `m`, `h`, `d` and `w`".to_owned()
            }
            DurationError::TooLong => "at most 100 years".to_owned(),
        };
        Fault::new(error.to_string()).label(label)
    })
}

/// A duration, or nothing for `off`.
pub(crate) fn duration_or_off(text: &str) -> Result<Option<Duration>, Fault> {
    if text.trim() == "off" {
        return Ok(None);
    }
    duration(text).map(Some)
}

fn unitless(text: &str) -> String {
    let number: String = text.trim().chars().take(6).collect();
    if number.chars().all(|char| char.is_ascii_digit()) {
        format!("write `{number}s`, `{number}m` or `{number}h`")
    } else {
        "each number needs a unit".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::{duration, duration_or_off};

    #[test]
    fn off_is_no_duration_and_everything_else_has_to_be_one() {
        assert_eq!(duration_or_off("off").unwrap(), None);
        assert_eq!(duration_or_off("30s").unwrap().unwrap().as_secs(), 30);
        assert!(duration_or_off("never").is_err());
    }

    #[test]
    fn durations_are_sums_of_numbers_with_units() {
        for (text, millis) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("30m", 1_800_000),
            ("1h30m", 5_400_000),
            ("1d 12h", 129_600_000),
            ("0s", 0),
        ] {
            assert_eq!(duration(text).unwrap().as_millis(), millis, "{text}");
        }
        for (text, predicate) in [
            ("5", "has no unit"),
            ("1h30", "has no unit"),
            ("", "is not a duration"),
            ("soon", "is not a duration"),
            ("1.5h", "is not a duration"),
            ("-5s", "is negative"),
            ("5 parsecs", "is not a duration"),
            ("5y", "has an unknown unit, `y`"),
            ("99999999999999999999s", "is too long"),
            ("18446744073709551615ms", "is too long"),
        ] {
            assert_eq!(duration(text).unwrap_err().predicate, predicate, "{text}");
        }
    }
}
