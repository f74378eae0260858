//! Machines that talk over a server which is in memory and does what it likes.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod conversations;
mod files;
mod hostile_envelopes;
mod hostile_rows;
mod kills;
mod lives;
mod members;
mod server;
mod world;
