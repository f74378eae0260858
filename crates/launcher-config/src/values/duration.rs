//! Durations with units: `500ms`, `10s`, `1h30m`.
//!
//! A unit is never guessed: `5` could be seconds to one and days to another.

use std::time::Duration;

use super::Fault;

/// The longest duration. Longer ones are typing errors, and clocks overflow
/// some way beyond it.
const MAX: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);

const UNITS: [(&str, u64); 6] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
];

/// The sum of numbers with units.
pub(crate) fn duration(text: &str) -> Result<Duration, Fault> {
    let example = "write `10s`, `30m`, `12h` or `1d`";
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(Fault::new("is not a duration").label(example));
    }
    if rest.starts_with('-') {
        return Err(Fault::new("is negative").label(example));
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (number, after) = split(rest, |char| char.is_ascii_digit());
        let (unit, after) = split(after, char::is_alphabetic);
        if number.is_empty() || (unit.is_empty() && !after.is_empty()) {
            return Err(Fault::new("is not a duration").label(example));
        }
        if unit.is_empty() {
            return Err(Fault::new("has no unit").label(unitless(text)));
        }
        let Some(&(_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(Fault::new(format!("has an unknown unit, `{unit}`"))
                .label("units are `ms`, `s`, `m`, `h`, `d` and `w`"));
        };
        let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
        total = part
            .and_then(|part| total.checked_add(Duration::from_millis(part)))
            .filter(|&sum| sum <= MAX)
            .ok_or_else(|| Fault::new("is too long").label("at most 100 years"))?;
        rest = after.trim_start();
    }
    Ok(total)
}

/// A duration, or nothing for `off`.
pub(crate) fn duration_or_off(text: &str) -> Result<Option<Duration>, Fault> {
    if text.trim() == "off" {
        return Ok(None);
    }
    duration(text).map(Some)
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|char| !belongs(char)).unwrap_or(text.len()))
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
