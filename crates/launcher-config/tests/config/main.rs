//! Black-box tests of `load`: files in, specs and rendered diagnostics out.
//!
//! The cases are text files in `tests/cases`; see `case.rs` for their form.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod case;
mod files;
mod good;
mod mutation;
mod samples;
mod snapshots;
