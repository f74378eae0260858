//! What a keeper tells the launcher: a line each.

use std::{fmt, str::FromStr};

/// What became of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// It runs.
    Started,
    /// It could not be started, for this reason (errno(3)).
    Failed(i32),
    /// It ended by itself, with this status.
    Exited(i32),
    /// It was ended by this signal.
    Signaled(i32),
    /// It was ended because it had started too much.
    Crowded,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => formatter.write_str("started"),
            Self::Failed(code) => write!(formatter, "failed {code}"),
            Self::Exited(code) => write!(formatter, "exited {code}"),
            Self::Signaled(signal) => write!(formatter, "signaled {signal}"),
            Self::Crowded => formatter.write_str("crowded"),
        }
    }
}

impl FromStr for Report {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        let (word, number) = line.split_once(' ').unwrap_or((line, ""));
        let number = number.parse().map_err(drop);
        match word {
            "started" => Ok(Self::Started),
            "failed" => number.map(Self::Failed),
            "exited" => number.map(Self::Exited),
            "signaled" => number.map(Self::Signaled),
            "crowded" => Ok(Self::Crowded),
            _ => Err(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Report;

    #[test]
    fn what_is_written_is_read() {
        for report in [
            Report::Started,
            Report::Failed(2),
            Report::Exited(255),
            Report::Signaled(9),
            Report::Crowded,
        ] {
            assert_eq!(report.to_string().parse(), Ok(report));
        }
        for line in ["", "exited", "exited x", "exited 99999999999", "gone 1"] {
            assert_eq!(line.parse::<Report>(), Err(()), "{line}");
        }
    }
}
