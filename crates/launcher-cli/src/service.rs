//! What a service manager is told: that the launcher is up, that it lives, that
//! it stops.
//!
//! The protocol is that of sd_notify(3). Without `NOTIFY_SOCKET` nobody is
//! told anything. The sign of life comes from the supervisor's own loop: if
//! that hangs, the manager's watchdog ends the process.
//!
//! A manager that does not listen makes whoever tells it something wait, so
//! that is a thread of its own, and nobody waits for it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
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
    /// Whether a sign of life is still on its way.
    beating: Arc<AtomicBool>,
    words: Sender<Word>,
}

/// What the thread is given.
#[derive(Debug)]
enum Word {
    State(Vec<NotifyState<'static>>),
    Beat,
    /// To be answered when everything before it was said.
    Flush(Sender<()>),
}

impl ServiceManager {
    /// The manager that the environment names.
    pub(crate) fn find() -> Self {
        let watchdog = watchdog_enabled().filter(|limit| !limit.is_zero());
        let (words, said) = channel();
        let beating = Arc::new(AtomicBool::new(false));
        let beat_is_over = beating.clone();
        let teller = thread::Builder::new().name("notify".to_owned());
        if let Err(error) = teller.spawn(move || pass_on(&said, &beat_is_over)) {
            warn!(%error, "the service manager cannot be told anything");
        }
        Self { watchdog, stopping: Arc::default(), beating, words }
    }

    /// What the supervisor's loop does, and how often: at first it says that
    /// the launcher is up, then that it lives.
    pub(crate) fn pulse(&self) -> (Duration, Beat) {
        let every = self.watchdog.map_or(WITHOUT_WATCHDOG, |limit| limit / BEATS);
        let manager = self.clone();
        let mut is_up = false;
        let beat = move || {
            if !std::mem::replace(&mut is_up, true) {
                manager.tell(Word::State(vec![NotifyState::Ready]));
            } else if !manager.beating.swap(true, Ordering::Relaxed) {
                manager.tell(Word::Beat);
            }
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
            self.tell(Word::State(vec![NotifyState::Stopping]));
        }
    }

    /// Waits until everything was said, a second at most.
    pub(crate) fn finish(&self) {
        let (done, all_said) = channel();
        self.tell(Word::Flush(done));
        all_said.recv_timeout(Duration::from_secs(1)).ok();
    }

    /// Says that files are read again, until what is returned is dropped.
    pub(crate) fn reloading(&self) -> Reloading {
        // Later versions of systemd want to know since when.
        let now = NotifyState::monotonic_usec_now().ok();
        let states = [NotifyState::Reloading].into_iter().chain(now).collect();
        self.tell(Word::State(states));
        Reloading(self.clone())
    }

    /// Without a thread nobody is told.
    fn tell(&self, word: Word) {
        drop(self.words.send(word));
    }
}

/// Files are being read again.
#[derive(Debug)]
pub(crate) struct Reloading(ServiceManager);

impl Drop for Reloading {
    fn drop(&mut self) {
        self.0.tell(Word::State(vec![NotifyState::Ready]));
    }
}

/// Tells the manager one thing after the other.
fn pass_on(said: &Receiver<Word>, beating: &AtomicBool) {
    for word in said {
        let told = match word {
            Word::State(states) => notify(&states),
            Word::Beat => {
                let told = notify(&[NotifyState::Watchdog]);
                beating.store(false, Ordering::Relaxed);
                told
            }
            Word::Flush(done) => {
                done.send(()).ok();
                Ok(())
            }
        };
        if let Err(error) = told {
            warn!(%error, "telling the service manager failed");
        }
    }
}
