//! What a service manager is told: that the launcher is up, that it lives, that
//! it stops.
//!
//! The protocol is that of sd_notify(3). Without `NOTIFY_SOCKET` nobody is
//! told anything. The sign of life comes from the supervisor's own loop: if
//! that hangs, the manager's watchdog ends the process.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use launcher_runtime::{Beat, stop::Stop};
use sd_notify::{NotifyState, notify, watchdog_enabled};
use tracing::warn;

/// How often the loop beats where nobody waits for it: the first beat is what
/// counts then.
const WITHOUT_WATCHDOG: Duration = Duration::from_secs(3600);

/// Beats in the time after which the manager gives up: one may be late.
const BEATS: u32 = 3;

/// Whoever started the launcher as a service, if anybody.
#[derive(Clone, Debug)]
pub(crate) struct ServiceManager {
    /// After what time without a sign of life the process is ended.
    watchdog: Option<Duration>,
    stopping: Arc<AtomicBool>,
}

impl ServiceManager {
    /// The manager that the environment names.
    pub(crate) fn find() -> Self {
        let watchdog = watchdog_enabled().filter(|limit| !limit.is_zero());
        Self { watchdog, stopping: Arc::default() }
    }

    /// What the supervisor's loop does, and how often: at first it says that
    /// the launcher is up, then that it lives.
    pub(crate) fn pulse(&self) -> (Duration, Beat) {
        let every = self.watchdog.map_or(WITHOUT_WATCHDOG, |limit| limit / BEATS);
        let mut is_up = false;
        let beat = move || {
            let state = if is_up { NotifyState::Watchdog } else { NotifyState::Ready };
            is_up = true;
            tell(&[state]);
        };
        // A limit of a few nanoseconds is no limit that anybody means.
        (every.max(Duration::from_millis(1)), Box::new(beat))
    }

    /// Says that the launcher stops, as soon as it is asked to. Never ends.
    pub(crate) async fn follow(&self, stop: Stop) {
        stop.asked().await;
        self.stopping();
        std::future::pending().await
    }

    /// Says that the launcher stops, unless that was said.
    pub(crate) fn stopping(&self) {
        if !self.stopping.swap(true, Ordering::Relaxed) {
            tell(&[NotifyState::Stopping]);
        }
    }

    /// Says that files are read again, until what is returned is dropped.
    pub(crate) fn reloading(&self) -> Reloading {
        // Later versions of systemd want to know since when.
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(_) => tell(&[NotifyState::Reloading]),
        }
        Reloading(())
    }
}

/// Files are being read again.
#[derive(Debug)]
pub(crate) struct Reloading(());

impl Drop for Reloading {
    fn drop(&mut self) {
        tell(&[NotifyState::Ready]);
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = notify(state) {
        warn!(%error, "telling the service manager failed");
    }
}
