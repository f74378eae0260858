//! Matrix accounts as transports.
//!
//! The only crate that names matrix-sdk. Its own loop asks the server for news
//! with a bare long poll and lets the SDK read them; everything about devices
//! and keys is checked before the SDK exists.
//!
//! Reading order: [`connector`] (how an agent comes up), `session` (how it
//! lives), then the parts they are made of.

mod aftermath;
mod client;
pub mod connector;
mod content;
mod decrypting;
mod devices;
mod doctor;
mod errors;
mod feed;
mod greetings;
mod identity;
mod invites;
mod lineage;
mod login;
mod maintenance;
mod markdown;
mod media;
mod notices;
mod poll;
mod preflight;
mod reading;
mod recovery;
pub mod registration;
mod rekey;
mod reset;
mod rest;
mod salvage;
mod session;
pub mod signing;
mod store;
mod timeline;
mod trust;
mod undecryptable;
mod vault;
mod verification;

pub use connector::MatrixConnector;
pub use maintenance::MatrixMaintenance;
pub use rekey::is_unfinished as is_rekey_unfinished;
