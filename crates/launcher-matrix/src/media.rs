//! Files in messages, both ways.

mod fetching;
mod sealing;
mod source;

pub(crate) use self::{
    fetching::{Failed, fetch},
    sealing::{encrypt, encrypted_file},
    source::Source,
};

/// What is said of content that says nothing about itself.
pub(crate) const OCTETS: &str = "application/octet-stream";
