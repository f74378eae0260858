//! The server against its contract, from the outside: over HTTP and the
//! websocket. Each test is named by the rule that it sees.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "tests make tasks for servers and clients, and end with them"
)]

mod chance;
mod editing;
mod envelopes;
mod fuzzing;
mod keys;
mod kills;
mod large;
mod limits;
mod login;
mod members;
mod previews;
mod process;
mod pushes;
mod reactions;
mod reading;
mod revoking;
mod rooms;
mod rotation;
mod sending;
mod service;
mod slow;
mod sockets;
mod strangers;
mod sweeping;
mod syncing;
mod voice;
mod words;
mod world;
