//! A sign of life that only a loop that turns can give.
//!
//! Whoever watches the process from outside has to know whether the loop that
//! everything hangs on goes round, not whether some timer of the process still
//! fires. So the pulse has no task of its own: it is one arm of that loop.

use std::{fmt, time::Duration};

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// What is done at each beat. It must not block.
pub type Beat = Box<dyn FnMut() + Send>;

/// Beats when it is waited for, at most once in a period; at first at once.
pub(crate) struct Pulse(Option<(Interval, Beat)>);

impl Pulse {
    /// One that never beats.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    pub(crate) fn new(every: Duration, beat: Beat) -> Self {
        let mut interval = interval_at(Instant::now(), every);
        // Beats that were missed say nothing afterwards.
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self(Some((interval, beat)))
    }

    /// Waits until it is time for a beat, and beats. Cancel safe.
    pub(crate) async fn beat(&mut self) {
        match &mut self.0 {
            Some((interval, beat)) => {
                interval.tick().await;
                beat();
            }
            None => std::future::pending().await,
        }
    }
}

impl fmt::Debug for Pulse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Pulse").field(&self.0.as_ref().map(|(every, _)| every)).finish()
    }
}
