//! Decides what an assistant that talks to a language model does: what it
//! remembers, what it may spend, and what follows when a model fails.
//!
//! The model itself is asked elsewhere. Everything here follows from its
//! arguments; dates and random numbers are handed in.

pub mod estimate;
pub mod fault;
pub mod history;
pub mod mode;
pub mod model;
pub mod plain;
pub mod prompt;
pub mod spending;
