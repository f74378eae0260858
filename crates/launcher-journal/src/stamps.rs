//! Moments as SQLite keeps them.

use launcher_runtime::ports::journal::Stamp;

/// A moment as a number in a column; one beyond the end of time is its end.
pub(crate) fn to_column(stamp: Stamp) -> i64 {
    i64::try_from(stamp.0).unwrap_or(i64::MAX)
}

/// The moment in a column.
pub(crate) fn from_column(millis: i64) -> Stamp {
    Stamp(u64::try_from(millis).unwrap_or_default())
}
