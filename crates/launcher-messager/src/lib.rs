//! Messager accounts, encrypted end to end.
//!
//! [`crypto`] decides and encrypts; it knows no network. [`store`] is the
//! agent's `crypto.db`. [`client`] and [`socket`] speak to a server: what it
//! says goes into the [`Machine`](crypto::Machine), and what that answers is
//! done. [`MessagerConnector`] makes agents of it, [`chat`] a client for a person.

mod book;
pub mod chat;
pub mod client;
mod connector;
pub mod crypto;
mod engine;
mod faults;
mod kept;
mod ledger;
mod locked;
mod maintenance;
mod message;
mod moments;
mod names;
mod place;
mod session;
pub mod socket;
pub mod store;

pub use self::{
    connector::MessagerConnector,
    maintenance::{MessagerMaintenance, OTHER_DEVICE},
};
