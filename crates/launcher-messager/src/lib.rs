//! Messager accounts, encrypted end to end.
//!
//! [`crypto`] decides and encrypts; it knows no network. [`store`] is the
//! agent's `crypto.db`. Whoever talks to a server gives the
//! [`Machine`](crypto::Machine) what the server said, and does what it answers.

pub mod crypto;
pub mod store;
