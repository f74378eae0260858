//! Cron lines.

use croner::parser::CronParser;
use jiff::{Timestamp, tz::TimeZone};

use super::Fault;

/// The longest line; longer ones are no schedule, and take long to read.
const LONGEST: usize = 200;

/// A cron line that has a next moment.
pub(crate) fn cron(text: &str) -> Result<String, Fault> {
    let example = "write `0 9 * * MON-FRI`: minute, hour, day, month, day of the week";
    if text.len() > LONGEST {
        return Err(Fault::new("is too long").label(example));
    }
    let line = CronParser::new()
        .parse(text)
        .map_err(|error| Fault::new(format!("is not a cron line: {error}")).label(example))?;
    match line.find_next_occurrence(&Timestamp::now().to_zoned(TimeZone::UTC), false) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(Fault::new("never comes").label("such a day does not exist")),
    }
}

#[cfg(test)]
mod tests {
    use super::cron;

    #[test]
    fn a_line_is_right_and_comes_some_day() {
        for good in ["0 9 * * MON-FRI", "*/5 * * * *", "@daily", "30 2 L * *", "*/10 * * * * *"] {
            assert!(cron(good).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("", "is not a cron line"),
            ("0 9 * *", "is not a cron line"),
            ("61 * * * *", "is not a cron line"),
            ("tomorrow", "is not a cron line"),
            ("0 0 30 2 *", "never comes"),
        ] {
            let fault = cron(bad).unwrap_err();
            assert!(fault.predicate.starts_with(why), "{bad}: {}", fault.predicate);
        }
    }
}
