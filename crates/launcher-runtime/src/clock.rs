//! The process's clock, as the core wants it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use launcher_core::moment::Moment;
use tokio::time::Instant;

use crate::ports::journal::Stamp;

/// Reads tokio's clock, which tests can move.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    pub(crate) fn now(self) -> Moment {
        Moment::after_start(self.start.elapsed())
    }

    /// Sleeps until `moment`; for ever if there is none.
    pub(crate) async fn sleep_until(self, moment: Option<Moment>) {
        match moment {
            Some(moment) => {
                let wait = moment.since(self.now());
                tokio::time::sleep(wait.max(Duration::from_millis(1))).await;
            }
            None => std::future::pending().await,
        }
    }
}

/// The wall clock, for what has to be understood by a later life.
pub fn stamp() -> Stamp {
    Stamp::default().plus(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}
