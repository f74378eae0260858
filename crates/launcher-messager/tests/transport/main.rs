//! Clients against the server as it is: over HTTP and the websocket.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(
    clippy::disallowed_methods,
    reason = "tests make tasks for servers and clients, and end with them"
)]

mod agents;
mod between;
mod bot;
mod chat;
mod client;
mod clocks;
mod errands;
mod gate;
mod hostile;
mod lies;
mod lives;
mod nonsense;
mod operators;
mod people;
mod person;
mod proxies;
mod socket;
mod toll;
mod trust;
mod world;
