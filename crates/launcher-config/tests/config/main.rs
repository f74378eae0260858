//! Black-box tests of `load`: files in, specs and rendered diagnostics out.
//!
//! The cases are text files in `tests/cases`; see `case.rs` for their form.

mod case;
mod files;
mod good;
mod mutation;
mod snapshots;
