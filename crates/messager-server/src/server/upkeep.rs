//! What has to be done though nobody asks for it.

use std::{convert::Infallible, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::info;

use crate::store::{Store, sweeping};

/// How often the thread that writes is given something, so that it sees what other
/// processes have done: a device that was revoked is cut off after that long, also
/// while nobody writes.
const LOOK: Duration = Duration::from_secs(1);

/// How often what is done with is swept away, from the start on.
const SWEEP: Duration = Duration::from_secs(60 * 60);

/// Does it until it is dropped. `keep` is how long something stays that is done with.
///
/// # Cancel safety
///
/// Whatever was under way is done or not.
pub(super) async fn run(store: &Store, keep: Duration) -> Infallible {
    let mut looking = interval(LOOK);
    looking.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut next_sweep = Instant::now();
    loop {
        looking.tick().await;
        // What went wrong is logged where it happened; the next look may do better.
        drop(store.write(|_| Ok(())).await);
        if Instant::now() >= next_sweep {
            sweep(store, keep).await;
            next_sweep = Instant::now() + SWEEP;
        }
    }
}

/// Piece by piece, so that others can write in between.
async fn sweep(store: &Store, keep: Duration) {
    let (mut envelopes, mut keys, mut is_more) = (0, 0, true);
    while is_more && let Ok(swept) = store.write(move |work| sweeping::sweep(work, keep)).await {
        envelopes += swept.envelopes;
        keys += swept.keys;
        is_more = swept.is_more;
    }
    if envelopes + keys > 0 {
        info!(envelopes, keys, "what was done with is swept away");
    }
}
