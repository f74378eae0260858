//! What agents do with a message.
//!
//! A behavior gets a message and returns what it wants done. It never sees
//! keys, tokens or the network; whether a message is answered at all is
//! decided before it is asked.

mod echo;

use std::sync::Arc;

use launcher_core::spec::BehaviorSpec;
use launcher_runtime::ports::Behavior;

pub use echo::Echo;

/// Makes the behavior that a config describes.
pub fn make(spec: &BehaviorSpec) -> Arc<dyn Behavior> {
    match spec {
        BehaviorSpec::Echo { prefix, delay } => Arc::new(Echo::new(prefix.clone(), *delay)),
    }
}
