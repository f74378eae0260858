//! What agents do with a message.
//!
//! A behavior gets a message and returns what it wants done. It never sees
//! keys, tokens or the network; whether a message is answered at all is
//! decided before it is asked.

mod chain;
pub mod child;
mod commands;
mod echo;
mod llm;
pub mod process;
#[cfg(test)]
mod props;
mod schedule;
mod webhook;

use std::sync::Arc;

use launcher_core::spec::{AgentSpec, BehaviorSpec};
use launcher_runtime::ports::Behavior;

use chain::Link;

pub use chain::Chain;
pub use commands::Commands;
pub use echo::Echo;
pub use llm::Llm;
pub use process::Robot;
pub use schedule::Schedule;
pub use webhook::Webhook;

/// Makes the behavior that an agent's config describes.
pub fn make(spec: &AgentSpec) -> Arc<dyn Behavior> {
    let link = |one: &BehaviorSpec| Link { spec: one.clone(), behavior: make_one(spec, one) };
    Arc::new(Chain::new(spec.behaviors.iter().map(link).collect()))
}

fn make_one(spec: &AgentSpec, behavior: &BehaviorSpec) -> Arc<dyn Behavior> {
    match behavior {
        BehaviorSpec::Echo { prefix, delay, .. } => Arc::new(Echo::new(prefix.clone(), *delay)),
        BehaviorSpec::Llm(llm) => {
            Arc::new(Llm::new((**llm).clone(), spec.name().to_owned(), &spec.folder))
        }
        BehaviorSpec::Commands { commands } => {
            Arc::new(Commands::new(commands.clone(), spec.folder.clone()))
        }
        BehaviorSpec::Schedule { entries } => Arc::new(Schedule::new(entries.clone())),
        BehaviorSpec::Process(process) => Arc::new(Robot::new(spec, process)),
        BehaviorSpec::Webhook(webhook) => Arc::new(Webhook::new(spec, webhook)),
    }
}
