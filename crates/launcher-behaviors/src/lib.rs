//! What agents do with a message.
//!
//! A behavior gets a message and returns what it wants done. It never sees
//! keys, tokens or the network; whether a message is answered at all is
//! decided before it is asked.

mod commands;
mod echo;

use std::sync::Arc;

use launcher_core::spec::{AgentSpec, BehaviorSpec};
use launcher_runtime::ports::Behavior;

pub use commands::Commands;
pub use echo::Echo;

/// Makes the behavior that an agent's config describes.
pub fn make(spec: &AgentSpec) -> Arc<dyn Behavior> {
    match &spec.behavior {
        BehaviorSpec::Echo { prefix, delay } => Arc::new(Echo::new(prefix.clone(), *delay)),
        BehaviorSpec::Commands { commands } => {
            Arc::new(Commands::new(commands.clone(), spec.folder.clone()))
        }
    }
}
