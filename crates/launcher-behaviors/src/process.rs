//! Leaves what an agent says to a program in any language, a *robot*.
//!
//! It is a child of the launcher that lives as long as the agent and speaks the
//! [`protocol`]. What it wants about an event is carried out when it says that
//! the event is done, all of it or nothing; until then the event comes again,
//! whoever is killed in between.

pub(crate) mod allowance;
mod attachment;
pub(crate) mod errors;
mod life;
mod presence;
pub mod protocol;
mod reading;
mod working;

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use launcher_core::{
    backoff,
    conversation::{Message, MessageKind},
    spec::{AgentSpec, ProcessSpec},
};
use launcher_runtime::ports::{Behavior, BehaviorFault, Initiative, Response, Stage};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};
use tracing::warn;

use self::{
    presence::{PATIENCE, Presence},
    protocol::{Event, ToRobot},
    working::{FETCHING, LARGEST_FILE, MOST_FETCHES, Outcome, Work},
};

/// How often an event is given to a robot that ends over it, before it counts
/// as a failure. It can have been another event's fault.
const DELIVERIES: u32 = 2;

/// A robot that ran this long is started again as if for the first time.
const SETTLED: Duration = Duration::from_secs(60);

/// The most bytes of files that events hold which are not done. Four events may
/// have their files at once, as many as a robot has in hand if nobody says
/// otherwise.
const MOST_HELD: usize = 4 * LARGEST_FILE as usize;

/// What is said in a room, once, when its robot does not come back.
const AWAY: &str = "I cannot answer: my program is not running. My operator has to look at it. \
                    Please say it again later.";

/// A program, and the events that it works on.
pub struct Robot {
    spec: ProcessSpec,
    /// Where it works; absolute.
    folder: PathBuf,
    hello: ToRobot,
    presence: Presence,
    places: Semaphore,
    /// Room for the bytes of files.
    files: Semaphore,
}

impl Robot {
    /// The program that `spec` describes, for this agent.
    pub fn new(agent: &AgentSpec, spec: &ProcessSpec) -> Self {
        let hello = ToRobot::Hello {
            version: protocol::VERSION,
            agent: agent.id.as_str().to_owned(),
            user_id: agent.name().to_owned(),
        };
        Self {
            folder: agent.folder.join(&spec.folder),
            hello,
            presence: Presence::new(),
            places: Semaphore::new(usize::try_from(spec.at_once).unwrap_or(1).max(1)),
            files: Semaphore::new(MOST_HELD),
            spec: spec.clone(),
        }
    }

    /// What follows for a message that has waited long enough.
    fn missed(&self, message: &Message) -> Result<Option<Response>, BehaviorFault> {
        let (room, event_id) = (&message.room, &message.event);
        let calls_for_an_answer =
            matches!(message.kind, MessageKind::Text | MessageKind::Media | MessageKind::Task);
        if calls_for_an_answer && self.presence.is_news(room) {
            warn!(event = "robot_missed", %room, %event_id, "a message is not answered: its program is not there");
            return Ok(Some(Response::say(AWAY)));
        }
        Err(BehaviorFault::new("the program is not running"))
    }

    /// Runs the program again and again.
    async fn live(&self, initiative: &Arc<dyn Initiative>) {
        let mut ends = 0;
        loop {
            let started = Instant::now();
            let (spec, folder) = (&self.spec, &self.folder);
            let presence = &self.presence;
            let why = life::live(spec, folder, &self.hello, presence, initiative.clone()).await;
            ends = if started.elapsed() > SETTLED { 0 } else { ends };
            // One program does not wait for others that had the same trouble.
            let wait = backoff::wait(ends, 0.0, None);
            ends = ends.saturating_add(1);
            warn!(event = "robot_ended", why, retry_in = ?wait, "a program has ended");
            sleep(wait).await;
        }
    }
}

#[async_trait]
impl Behavior for Robot {
    async fn on_message(
        &self,
        message: &Message,
        stage: &dyn Stage,
    ) -> Result<Option<Response>, BehaviorFault> {
        let Some(event) = Event::of(message, stage.attempt()) else { return Ok(None) };
        // Nobody closes the semaphore; without a permit the robot would only have more to do.
        let _place = self.places.acquire().await;
        for again in 0..DELIVERIES {
            let Some(life) = self.presence.life().await else { return self.missed(message) };
            let attempt = event.attempt.saturating_add(again);
            let event = Event { attempt, ..event.clone() };
            match Work::new(self, &life, &event.id, message, stage).run(event).await? {
                Outcome::Settled(response) => return Ok(response),
                Outcome::Over => {}
                Outcome::TooLong => {
                    let limit = self.spec.timeout.as_secs_f64();
                    let fault = format!("the program took longer than {limit} s for one event");
                    life.end(&fault);
                    return Err(BehaviorFault::new(fault));
                }
            }
        }
        Err(BehaviorFault::new("the program ended while it worked on the message"))
    }

    fn limit(&self) -> Duration {
        let one = PATIENCE + self.spec.timeout + FETCHING * MOST_FETCHES;
        one * DELIVERIES + self.spec.timeout
    }

    /// Runs the program, and tells operators if it does not run for long.
    async fn run(&self, initiative: Arc<dyn Initiative>) -> Result<(), BehaviorFault> {
        tokio::join!(self.live(&initiative), self.presence.attend(&*initiative));
        Ok(())
    }
}

impl fmt::Debug for Robot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Robot").field("spec", &self.spec).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use launcher_core::names::{EventId, RoomId, UserId};

    use super::*;
    use crate::props::Props;

    fn robot() -> Robot {
        Robot {
            spec: ProcessSpec::running(vec!["robot".into()]),
            folder: PathBuf::from("/"),
            hello: ToRobot::Ping { n: 0 },
            presence: Presence::new(),
            places: Semaphore::new(1),
            files: Semaphore::new(MOST_HELD),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_room_is_told_once_that_the_robot_is_not_there() {
        let robot = robot();
        let started = Instant::now();
        let asked = async |room: &str, kind| {
            let (room, sender) = (RoomId::new(room), UserId::new("@alice:hs"));
            let message = Message::text(room, EventId::new("$1"), sender, "hi");
            let message = Message { kind, ..message };
            robot.on_message(&message, &Props::default()).await.map_err(|fault| fault.to_string())
        };
        let away = Ok(Some(Response::say(AWAY)));
        let fault = Err("the program is not running".to_owned());
        // Nobody waits for an answer to these.
        assert_eq!(asked("!a:hs", MessageKind::Reaction).await, fault);
        assert_eq!(started.elapsed(), PATIENCE);
        assert_eq!(asked("!a:hs", MessageKind::Text).await, away);
        assert_eq!(asked("!a:hs", MessageKind::Text).await, fault);
        assert_eq!(asked("!b:hs", MessageKind::Media).await, away);
        assert_eq!(started.elapsed(), PATIENCE + Duration::from_secs(90));
    }
}
