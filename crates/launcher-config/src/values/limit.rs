//! What a child may use up: sizes with units, counts, processor time.

use std::time::Duration;

use launcher_core::children::Limits;

use super::{Fault, duration::duration};

const UNITS: [(&str, u64); 7] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

/// A number of bytes with its unit: `256 MiB`.
fn size(text: &str) -> Result<u64, Fault> {
    let example = "write `256 MiB`";
    let text = text.trim();
    let (number, unit) =
        text.split_at(text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len()));
    let unit = unit.trim_start();
    if number.is_empty() {
        return Err(Fault::new("is not a size").label(example));
    }
    if unit.is_empty() {
        return Err(Fault::new("has no unit").label(example));
    }
    let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        let label = "units are `B`, `KiB`, `MiB`, `GiB`, `KB`, `MB` and `GB`";
        return Err(Fault::new("has an unknown unit").label(label));
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor));
    bytes.ok_or_else(|| Fault::new("is too large").label(example))
}

/// Memory of a process.
pub(crate) fn memory(text: &str) -> Result<u64, Fault> {
    match size(text)? {
        bytes if bytes < Limits::LEAST_MEMORY => {
            Err(Fault::new("is too little: no program starts with it").label("at least `4 MiB`"))
        }
        bytes => Ok(bytes),
    }
}

/// A whole number between two others.
fn number(text: &str, least: u64, most: u64) -> Result<u64, Fault> {
    let number = text.trim().parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| Fault::new(format!("is not a whole number from {least} to {most}")))
}

/// How many processes and threads.
pub(crate) fn processes(text: &str) -> Result<u32, Fault> {
    let number = number(text, 1, Limits::MOST_PROCESSES.into())?;
    number.try_into().map_err(|_| Fault::new("is too large"))
}

/// How many open files.
pub(crate) fn open_files(text: &str) -> Result<u64, Fault> {
    number(text, Limits::FEWEST_FILES, 1 << 20)
}

/// How many at the same time.
pub(crate) fn at_once(text: &str) -> Result<u32, Fault> {
    number(text, 1, 64)?.try_into().map_err(|_| Fault::new("is too large"))
}

/// Processor time, in whole seconds.
pub(crate) fn cpu(text: &str) -> Result<Duration, Fault> {
    match duration(text)? {
        time if time < Duration::from_secs(1) => {
            Err(Fault::new("is too short").label("at least `1s`"))
        }
        time => Ok(Duration::from_secs(time.as_secs())),
    }
}

/// The name of a variable of the environment.
pub(crate) fn variable(text: &str) -> Result<(), Fault> {
    let inner = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let fits = text.chars().all(inner) && !text.starts_with(|first: char| first.is_ascii_digit());
    match fits && !text.is_empty() {
        true => Ok(()),
        false => Err(Fault::new("is not the name of a variable").label("write `NAME`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_with_a_unit() {
        for (text, bytes) in [
            ("256 MiB", 256 << 20),
            ("1GiB", 1 << 30),
            ("5000000B", 5_000_000),
            ("8 MB", 8_000_000),
        ] {
            assert_eq!(memory(text), Ok(bytes), "{text}");
        }
        for (text, predicate) in [
            ("", "is not a size"),
            ("MiB", "is not a size"),
            ("-1 MiB", "is not a size"),
            ("256", "has no unit"),
            ("1.5 GiB", "has an unknown unit"),
            ("256 mib", "has an unknown unit"),
            ("99999999999 GiB", "is too large"),
            ("1 MiB", "is too little: no program starts with it"),
        ] {
            assert_eq!(memory(text).unwrap_err().predicate, predicate, "{text}");
        }
    }

    #[test]
    fn counts_and_times_have_bounds() {
        assert_eq!((processes("1"), processes("4096")), (Ok(1), Ok(4096)));
        assert_eq!((open_files("16"), at_once("64")), (Ok(16), Ok(64)));
        assert_eq!(cpu("1500ms"), Ok(Duration::from_secs(1)));
        for wrong in [processes("0").err(), processes("5000").err(), at_once("x").err()] {
            assert!(wrong.unwrap().predicate.starts_with("is not a whole number from 1 to "));
        }
        assert!(open_files("15").is_err() && cpu("999ms").is_err());
    }

    #[test]
    fn variables_have_names() {
        for (text, good) in [("A_1", true), ("_", true), ("1A", false), ("A-B", false), ("", false)]
        {
            assert_eq!(variable(text).is_ok(), good, "{text}");
        }
    }
}
