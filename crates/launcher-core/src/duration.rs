//! Durations with units: `500ms`, `10s`, `1h30m`.
//!
//! A unit is never guessed: `5` could be seconds to one and days to another.

use std::time::Duration;

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

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// There is something else.
    #[error("is not a duration")]
    NotOne,
    /// It is below zero.
    #[error("is negative")]
    Negative,
    /// A number without a unit.
    #[error("has no unit")]
    NoUnit,
    /// Nobody knows the unit.
    #[error("has an unknown unit, `{0}`")]
    UnknownUnit(String),
    /// It is over a hundred years.
    #[error("is too long")]
    TooLong,
}

/// The sum of numbers with units.
///
/// # Errors
///
/// See [`DurationError`].
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(DurationError::NotOne);
    }
    if rest.starts_with('-') {
        return Err(DurationError::Negative);
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (number, after) = split(rest, |char| char.is_ascii_digit());
        let (unit, after) = split(after, char::is_alphabetic);
        if number.is_empty() || (unit.is_empty() && !after.is_empty()) {
            return Err(DurationError::NotOne);
        }
        if unit.is_empty() {
            return Err(DurationError::NoUnit);
        }
        let Some(&(_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(DurationError::UnknownUnit(unit.to_owned()));
        };
        let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
        total = part
            .and_then(|part| total.checked_add(Duration::from_millis(part)))
            .filter(|&sum| sum <= MAX)
            .ok_or(DurationError::TooLong)?;
        rest = after.trim_start();
    }
    Ok(total)
}

/// A duration as it may be written: with the largest units that fit, down to
/// seconds; milliseconds only below a second.
pub fn shown(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        return format!("{}ms", duration.as_millis());
    }
    let mut rest = duration.as_secs();
    let mut text = String::new();
    for (unit, seconds) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
        if rest >= seconds {
            text.push_str(&format!("{}{unit}", rest / seconds));
            rest %= seconds;
        }
    }
    text
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|char| !belongs(char)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_read_again() {
        for (text, millis) in [
            ("0ms", 0),
            ("500ms", 500),
            ("1s", 1_000),
            ("1m", 60_000),
            ("1h30m", 5_400_000),
            ("7d", 604_800_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)));
            assert_eq!(shown(Duration::from_millis(millis)), text);
        }
    }
}
