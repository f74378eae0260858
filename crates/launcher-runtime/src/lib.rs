//! Carries out what the core decides: one task per agent, supervised.
//!
//! This crate owns every task and every port trait. It knows no chat network
//! and no behavior; those are handed in as [`ports`]. It decides nothing about
//! the fleet: [`launcher_core::fleet`] does.

mod answering;
pub mod checks;
mod clock;
mod deferred;
#[cfg(test)]
mod fakes;
pub mod files;
mod initiative;
mod lines;
pub mod locks;
pub mod ports;
mod pulse;
mod quiet;
mod random;
pub mod report;
pub mod retired;
mod room_settings;
pub mod serving;
pub mod stop;
pub mod supervisor;
mod task;
pub mod turns;
mod worker;

pub use answering::transaction_part;
pub use clock::stamp;
pub use pulse::Beat;
pub use quiet::is_time_zone;
pub use report::{AccountFacts, AgentMetrics, AgentStatus, Report};
pub use supervisor::{Held, HoldError, Order, StatusBoard, Supervisor, answers, hold};
