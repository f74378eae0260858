//! Where those who need a robot find it, and what is said while it is away.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use launcher_core::{fleet::Degradation, names::RoomId};
use launcher_runtime::ports::Initiative;
use tokio::{
    sync::watch,
    time::{Instant, timeout, timeout_at},
};
use tracing::warn;

use super::life::Life;

/// How long a robot may be away until events do not wait for it any more. One
/// that is broken can be repaired in that time, and nothing is lost.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);

/// How long an event waits at least, however long the robot is away.
const LEAST_PATIENCE: Duration = Duration::from_secs(30);

/// How long a robot is away until operators are told. It is longer than a
/// start and the first waits between starts.
pub(super) const MISSED: Duration = Duration::from_secs(30);

/// Where a robot is, once it is ready.
pub(super) struct Presence {
    now: watch::Sender<Now>,
    /// The rooms that know about this absence.
    told: Mutex<BTreeSet<RoomId>>,
}

enum Now {
    Ready(Arc<Life>),
    AwaySince(Instant),
}

impl Now {
    fn life(&self) -> Option<&Arc<Life>> {
        match self {
            Self::Ready(life) => Some(life),
            Self::AwaySince(_) => None,
        }
    }

    fn is_ready(&self) -> bool {
        self.life().is_some()
    }
}

impl Presence {
    pub(super) fn new() -> Self {
        let now = watch::Sender::new(Now::AwaySince(Instant::now()));
        Self { now, told: Mutex::default() }
    }

    fn told(&self) -> MutexGuard<'_, BTreeSet<RoomId>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This one is ready.
    pub(super) fn publish(&self, life: &Arc<Life>) {
        self.told().clear();
        self.now.send_replace(Now::Ready(life.clone()));
    }

    /// Whether it is this one that is ready.
    pub(super) fn is(&self, life: &Arc<Life>) -> bool {
        self.now.borrow().life().is_some_and(|ready| Arc::ptr_eq(ready, life))
    }

    /// No robot is ready. It is away since it was the last time.
    pub(super) fn withdraw(&self) {
        self.now.send_if_modified(|now| {
            let was_ready = now.is_ready();
            if was_ready {
                *now = Now::AwaySince(Instant::now());
            }
            was_ready
        });
    }

    /// The robot, once it is ready; `None`: it has been away for too long.
    pub(super) async fn life(&self) -> Option<Arc<Life>> {
        let mut seen = self.now.subscribe();
        let until = match &*seen.borrow() {
            Now::Ready(life) => return Some(life.clone()),
            Now::AwaySince(since) => (*since + PATIENCE).max(Instant::now() + LEAST_PATIENCE),
        };
        let ready = timeout_at(until, seen.wait_for(Now::is_ready)).await;
        ready.ok()?.ok()?.life().cloned()
    }

    /// Whether a room does not know about this absence yet. From now on it does.
    pub(super) fn is_news(&self, room: &RoomId) -> bool {
        self.told().insert(room.clone())
    }

    /// Tells operators when the robot has been away for some time, and when it
    /// is back. Never ends.
    pub(super) async fn attend(&self, initiative: &dyn Initiative) {
        let mut seen = self.now.subscribe();
        // The other end lives as long as this.
        loop {
            if timeout(MISSED, seen.wait_for(Now::is_ready)).await.is_err() {
                let limit = MISSED.as_secs();
                warn!(event = "robot_missing", "a program has not been ready for {limit} s");
                initiative.set_degraded(Some(missing(limit)));
                drop(seen.wait_for(Now::is_ready).await);
            }
            initiative.set_degraded(None);
            drop(seen.wait_for(|now| !now.is_ready()).await);
        }
    }
}

fn missing(limit: u64) -> Degradation {
    Degradation {
        reason: format!("robot_missing: the agent's program has not been ready for {limit} s"),
        action: "look into the log for `robot_ended` and `robot_line`, and at `behavior.process` \
                 in the agent's config.yaml"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use launcher_runtime::ports::{BehaviorFault, Memory, Task};
    use tokio::time::sleep;

    use super::*;

    #[derive(Default)]
    struct Status(Mutex<Vec<Option<Degradation>>>);

    impl Status {
        fn shown(&self) -> Vec<bool> {
            self.0.lock().unwrap().iter().map(Option::is_some).collect()
        }
    }

    #[async_trait]
    impl Initiative for Status {
        async fn begin(&self, _: Task, _: Vec<Memory>) -> Result<bool, BehaviorFault> {
            Ok(true)
        }

        async fn recall(&self, _: &str) -> Result<Option<Vec<u8>>, BehaviorFault> {
            Ok(None)
        }

        async fn remember(&self, _: Vec<Memory>) -> Result<(), BehaviorFault> {
            Ok(())
        }

        fn set_degraded(&self, found: Option<Degradation>) {
            self.0.lock().unwrap().push(found);
        }
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[tokio::test(start_paused = true)]
    async fn operators_are_told_once_when_a_robot_is_away_for_long() {
        let (presence, status) = (Presence::new(), Status::default());
        let life = Arc::new(Life::new().0);
        let happens = async {
            presence.publish(&life);
            sleep(seconds(100)).await;
            // A start that takes its time is no news.
            presence.withdraw();
            sleep(seconds(29)).await;
            presence.publish(&life);
            sleep(seconds(1)).await;
            assert_eq!(status.shown(), [false, false]);
            // Starts that fail do not make it a new absence.
            for _ in 0..10 {
                presence.withdraw();
                sleep(seconds(10)).await;
            }
            assert_eq!(status.shown(), [false, false, true]);
            presence.publish(&life);
            sleep(seconds(1)).await;
            assert_eq!(status.shown(), [false, false, true, false]);
        };
        tokio::select! {
            () = presence.attend(&status) => {}
            () = happens => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn events_wait_for_a_robot_that_is_away_but_not_one_after_the_other_for_ever() {
        let (presence, life) = (Presence::new(), Arc::new(Life::new().0));
        let waits = async || {
            let started = Instant::now();
            (presence.life().await.is_some(), started.elapsed().as_secs())
        };
        assert_eq!(waits().await, (false, 600));
        assert_eq!(waits().await, (false, 30));
        presence.publish(&life);
        assert_eq!(waits().await, (true, 0));
        presence.withdraw();
        sleep(seconds(500)).await;
        presence.withdraw();
        assert_eq!(waits().await, (false, 100));
        let (waited, ()) = tokio::join!(waits(), async {
            sleep(seconds(20)).await;
            presence.publish(&life);
        });
        assert_eq!(waited, (true, 20));
    }

    #[test]
    fn a_room_is_told_once_in_an_absence() {
        let (presence, life) = (Presence::new(), Arc::new(Life::new().0));
        let (one, other) = (RoomId::new("!a:hs"), RoomId::new("!b:hs"));
        assert!(presence.is_news(&one) && presence.is_news(&other) && !presence.is_news(&one));
        presence.publish(&life);
        presence.withdraw();
        assert!(presence.is_news(&one));
    }
}
