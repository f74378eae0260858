//! Names of time zones.

use super::Fault;

/// The name of a time zone that there is.
pub(crate) fn time_zone(name: &str) -> Result<(), Fault> {
    match jiff::tz::TimeZone::get(name) {
        Ok(_) => Ok(()),
        Err(_) => {
            Err(Fault::new("has an unknown time zone").label("write one like `Europe/Madrid`"))
        }
    }
}
