//! Decides what the launcher does next.
//!
//! Everything in here follows from its arguments: no task is spawned, no file
//! or clock is read, no random number drawn, nothing waited for. The shell
//! around it (`launcher-runtime`) says what happened and when, and carries out
//! what comes back.

pub mod acknowledgement;
pub mod agent;
pub mod approval;
pub mod attention;
pub mod backoff;
pub mod children;
pub mod claim;
pub mod commands;
pub mod conversation;
pub mod duration;
pub mod fault;
pub mod fleet;
pub mod greeting;
pub mod help;
pub mod invite;
pub mod llm;
pub mod moment;
pub mod names;
pub mod preflight;
pub mod rates;
pub mod reset;
pub mod schedule;
pub mod secret;
pub mod settings;
pub mod situation;
pub mod spec;
pub mod status;
pub mod target;
pub mod trust;
pub mod undecryptable;
