//! What has to be done though nobody asks for it.

use std::{convert::Infallible, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use crate::store::Store;

/// How often the thread that writes is given something, so that it sees what other
/// processes have done: a device that was revoked is cut off after that long, also
/// while nobody writes.
const LOOK: Duration = Duration::from_secs(1);

/// Does it until it is dropped.
///
/// # Cancel safety
///
/// Whatever was under way is done or not.
pub(super) async fn run(store: &Store) -> Infallible {
    let mut looking = interval(LOOK);
    looking.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looking.tick().await;
        // What went wrong is logged where it happened; the next look may do better.
        drop(store.write(|_| Ok(())).await);
    }
}
