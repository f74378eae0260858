//! Amounts: numbers with a point, whole numbers within bounds, sizes.

use std::ops::RangeInclusive;

use super::Fault;

/// How many parts a unit is counted in.
const MICRO: u64 = 1_000_000;

/// The largest number with a point. Larger ones are typing errors.
const LARGEST: u64 = 1_000_000;

const SIZES: [(&str, u64); 3] = [("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// A number that is not negative, in millionths.
pub(crate) fn micros(text: &str) -> Result<u64, Fault> {
    let wrong = || Fault::new("is not a number").label("write a number such as `2.50`");
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) {
        return Err(wrong());
    }
    if part.len() > 6 {
        return Err(Fault::new("has more than six digits after the point"));
    }
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    if whole > LARGEST {
        return Err(Fault::new(format!("is more than {LARGEST}")));
    }
    let part: u64 = format!("{part:0<6}").parse().map_err(|_| wrong())?;
    Ok(whole * MICRO + part)
}

/// A whole number within these bounds.
pub(crate) fn whole(text: &str, bounds: RangeInclusive<u64>) -> Result<u64, Fault> {
    let (least, most) = (bounds.start(), bounds.end());
    let fault = || Fault::new(format!("is not a whole number from {least} to {most}"));
    text.parse().ok().filter(|number| bounds.contains(number)).ok_or_else(fault)
}

/// A size in bytes from one byte on, or nothing for `off`.
pub(crate) fn size_or_off(text: &str, most: u64) -> Result<Option<u64>, Fault> {
    if text == "off" {
        return Ok(None);
    }
    let wrong =
        || Fault::new("is not a size").label("write a size such as `256KiB` or `4MiB`, or `off`");
    let (unit, factor) = SIZES.iter().find(|(unit, _)| text.ends_with(unit)).ok_or_else(wrong)?;
    let number = text.strip_suffix(unit).unwrap_or_default().trim_end();
    let number: u64 = number.parse().map_err(|_| wrong())?;
    match number.checked_mul(*factor) {
        Some(size) if (1..=most).contains(&size) => Ok(Some(size)),
        _ => Err(Fault::new("is not a possible size")
            .label(format!("from `1B` to `{}KiB`, or `off`", most >> 10))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_may_have_six_digits_after_the_point() {
        for (text, number) in
            [("0", 0), ("2", 2_000_000), ("2.5", 2_500_000), ("0.000001", 1), ("15.0", 15_000_000)]
        {
            assert_eq!(micros(text), Ok(number), "{text}");
        }
        for text in ["", ".", "1.", ".5", "-1", "1e3", "1,5", "0.0000001", "1000001", "ten"] {
            assert!(micros(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_size_has_a_unit() {
        for (text, size) in [
            ("off", None),
            ("1B", Some(1)),
            ("256KiB", Some(262_144)),
            ("4MiB", Some(4_194_304)),
            ("1 MiB", Some(1_048_576)),
        ] {
            assert_eq!(size_or_off(text, 4 << 20), Ok(size), "{text}");
        }
        for text in ["", "4", "4MB", "0B", "5MiB", "-1B", "1.5MiB", "99999999999999999999MiB"] {
            assert!(size_or_off(text, 4 << 20).is_err(), "{text}");
        }
    }

    #[test]
    fn a_whole_number_has_bounds() {
        assert_eq!(whole("50", 1..=50), Ok(50));
        for text in ["0", "51", "5.0", "five", ""] {
            assert!(whole(text, 1..=50).is_err(), "{text}");
        }
    }
}
