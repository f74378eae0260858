//! What has to survive a kill and is not a key: the port
//! [`Journal`](launcher_runtime::ports::journal::Journal) as one SQLite file
//! per agent, `journal.db` in its data folder.
//!
//! What people and agents said is sealed under a key made from the pickle key,
//! and forgotten as soon as nothing is left to do for it. What remains for a
//! while are ids: of events, so that none is answered twice, and of ciphertexts,
//! so that a replayed one is recognized. The latter stay for as long as the
//! crypto store keeps the session's key, which is for ever; they take about
//! sixty bytes a session.
//!
//! `docs/reference/storage.md` has every table and how long its rows stay.

mod content;
mod file;
mod inbox;
mod index_set;
mod intake;
mod journal;
mod known;
mod look;
mod megolm;
mod memory;
mod migrations;
mod outbox;
mod outgoing;
mod question;
mod rekey;
mod retention;
mod rooms;
mod seal;
mod sent;
mod stamps;
#[cfg(test)]
mod tests;
mod thread;
mod trouble;
mod trust;
mod undecryptable;
mod value;

pub use journal::{Clock, SqliteJournal, SqliteJournals};
