//! The one source of randomness for decisions that the core makes.

/// A number from 0 to 1. When the system gives none, the middle: waits are then
/// not spread, but they still happen.
pub(crate) fn fraction() -> f64 {
    getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX))
}
