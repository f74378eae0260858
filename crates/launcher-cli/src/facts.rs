//! What is known about this build.

/// The version, and what `build.rs` found out.
pub(crate) const LONG_VERSION: &str =
    concat!(env!("CARGO_PKG_VERSION"), " (", env!("LAUNCHER_FACTS"), ")");
