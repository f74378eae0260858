//! Messager accounts, encrypted end to end.
//!
//! [`crypto`] decides and encrypts; it knows no network. [`store`] is the
//! agent's `crypto.db`. [`client`] and [`socket`] speak to a server: what it
//! says goes into the [`Machine`](crypto::Machine), and what that answers is
//! done. [`chat`] is all of it together, for a person.

pub mod chat;
pub mod client;
pub mod crypto;
pub mod socket;
pub mod store;
