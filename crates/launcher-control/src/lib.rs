//! How a running launcher is asked things.
//!
//! One API, HTTP over a Unix socket that only the launcher's user can open.
//! Commands are clients of it, so what they show and do is what the running
//! process shows and does. `docs/reference/control-api.md` lists its routes.

pub mod audit;
pub mod client;
pub mod desk;
pub mod peer;
pub mod server;
mod socket;
pub mod wire;

#[cfg(test)]
mod tests;
