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
pub mod protocol;
mod reading;

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use launcher_core::{
    backoff,
    conversation::Message,
    names::EventId,
    spec::{AgentSpec, ProcessSpec},
};
use launcher_runtime::ports::{
    Action, Behavior, BehaviorFault, FetchFault, Initiative, Response, Stage,
};
use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, sleep, timeout},
};
use tracing::warn;

use self::{
    life::{Desk, Life},
    protocol::{Event, FromRobot, ToRobot},
};

/// How long an event waits for a robot that is not there. One that is broken
/// can be repaired in that time, and nothing is lost.
const PATIENCE: Duration = Duration::from_secs(600);

/// How often an event is given to a robot that ends over it, before it counts
/// as a failure. It can have been another event's fault.
const DELIVERIES: u32 = 2;

/// A robot that ran this long is started again as if for the first time.
const SETTLED: Duration = Duration::from_secs(60);

/// What may be wanted about one event.
const MOST_ACTIONS: usize = 50;

/// The most bytes of a file that a robot gets or sends.
const LARGEST_FILE: u64 = 32 * 1024 * 1024;

/// How much of what a robot says about a failure is logged, in characters.
const LONGEST_FAILURE: usize = 200;

/// A program, and the events that it works on.
pub struct Robot {
    spec: ProcessSpec,
    /// Where it works; absolute.
    folder: PathBuf,
    hello: ToRobot,
    /// The one that is running and ready.
    life: watch::Sender<Option<Arc<Life>>>,
    places: Semaphore,
}

/// What became of an event.
enum Outcome {
    /// It is done, or is for another behavior.
    Settled(Option<Response>),
    /// The robot ended.
    Over,
}

impl Robot {
    /// The program that `spec` describes, for this agent.
    pub fn new(agent: &AgentSpec, spec: &ProcessSpec) -> Self {
        let hello = ToRobot::Hello {
            version: protocol::VERSION,
            agent: agent.id.as_str().to_owned(),
            user_id: agent.account.user_id.clone(),
        };
        Self {
            folder: agent.folder.join(&spec.folder),
            hello,
            life: watch::Sender::new(None),
            places: Semaphore::new(usize::try_from(spec.at_once).unwrap_or(1).max(1)),
            spec: spec.clone(),
        }
    }

    /// The robot, once it is ready.
    async fn life(&self) -> Result<Arc<Life>, BehaviorFault> {
        let mut lives = self.life.subscribe();
        let ready = timeout(PATIENCE, lives.wait_for(Option::is_some)).await;
        let life = ready.ok().and_then(Result::ok).and_then(|life| life.clone());
        life.ok_or_else(|| BehaviorFault::new("the program is not running"))
    }

    async fn work(
        &self,
        life: &Arc<Life>,
        event: Event,
        message: &Message,
        stage: &dyn Stage,
    ) -> Result<Outcome, BehaviorFault> {
        let mut desk = Desk::open(life, &event.id);
        if !life.tell(&ToRobot::Event(Box::new(event))).await {
            return Ok(Outcome::Over);
        }
        let mut actions = Vec::new();
        while let Some(said) = desk.next().await {
            match said {
                FromRobot::Draft { text, .. } => stage.draft(&text),
                FromRobot::Fetch { id } => {
                    let fetched = fetch(message, stage, id).await?;
                    life.tell(&fetched).await;
                }
                FromRobot::Done { .. } => {
                    let response = Response { actions, memories: Vec::new() };
                    return Ok(Outcome::Settled(Some(response)));
                }
                FromRobot::Pass { .. } => return Ok(Outcome::Settled(None)),
                FromRobot::Failed { message, .. } => {
                    let why: String = errors::plain(&message, LONGEST_FAILURE);
                    return Err(BehaviorFault::new(format!("the program says: {why}")));
                }
                other => match self.action(message, other).await {
                    Ok(action) => actions.extend(action),
                    Err((id, fault)) => {
                        let (room, event_id) = (&message.room, &message.event);
                        warn!(event = "robot_file_refused", fault, %room, %event_id, "a file of a program is not sent");
                        life.tell(&ToRobot::Error { id: Some(id), message: fault }).await;
                    }
                },
            }
            if actions.len() > MOST_ACTIONS {
                let detail = format!("the program wants more than {MOST_ACTIONS} things at once");
                return Err(BehaviorFault::new(detail));
            }
        }
        Ok(Outcome::Over)
    }

    /// What a robot wants, if it is something to be done when it is done.
    async fn action(
        &self,
        message: &Message,
        said: FromRobot,
    ) -> Result<Option<Action>, (String, String)> {
        Ok(Some(match said {
            FromRobot::Say { text, .. } => Action::Say { text },
            FromRobot::Edit { target, text, .. } => {
                Action::Edit { event: EventId::new(target), text }
            }
            FromRobot::React { target, key, .. } => {
                let event = target.map_or_else(|| message.event.clone(), EventId::new);
                Action::React { event, key }
            }
            FromRobot::Redact { target, .. } => Action::Redact { event: EventId::new(target) },
            FromRobot::File { id, path, name, content_type, caption } => {
                let wanted = attachment::Wanted { path, name, content_type, caption };
                let read = attachment::read(&self.folder, wanted, LARGEST_FILE).await;
                Action::File(read.map_err(|fault| (id, fault))?)
            }
            _ => return Ok(None),
        }))
    }
}

async fn fetch(message: &Message, stage: &dyn Stage, id: String) -> Result<ToRobot, BehaviorFault> {
    let without =
        |error: String| ToRobot::Fetched { id: id.clone(), data: None, error: Some(error) };
    let Some(media) = &message.media else {
        return Ok(without("there is no file in this event".to_owned()));
    };
    match stage.fetch(media, LARGEST_FILE).await {
        Ok(bytes) => {
            let data = Some(STANDARD.encode(bytes));
            Ok(ToRobot::Fetched { id, data, error: None })
        }
        Err(fault @ FetchFault::Passing { .. }) => Err(BehaviorFault::new(fault.to_string())),
        Err(fault) => Ok(without(fault.to_string())),
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
            let life = self.life().await?;
            let attempt = event.attempt.saturating_add(again);
            let event = Event { attempt, ..event.clone() };
            let working = self.work(&life, event, message, stage);
            match timeout(self.spec.timeout, working).await {
                Ok(Ok(Outcome::Settled(response))) => return Ok(response),
                Ok(Ok(Outcome::Over)) => {}
                Ok(Err(fault)) => return Err(fault),
                Err(_) => {
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
        PATIENCE * DELIVERIES + self.spec.timeout * (DELIVERIES + 1)
    }

    /// Runs the program again and again.
    async fn run(&self, initiative: Arc<dyn Initiative>) -> Result<(), BehaviorFault> {
        let mut ends = 0;
        loop {
            let started = Instant::now();
            let (spec, folder) = (&self.spec, &self.folder);
            let why = life::live(spec, folder, &self.hello, &self.life, initiative.clone()).await;
            ends = if started.elapsed() > SETTLED { 0 } else { ends };
            // One program does not wait for others that had the same trouble.
            let wait = backoff::wait(ends, 0.0, None);
            ends = ends.saturating_add(1);
            warn!(event = "robot_ended", why, retry_in = ?wait, "a program has ended");
            sleep(wait).await;
        }
    }
}

impl fmt::Debug for Robot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Robot").field("spec", &self.spec).finish_non_exhaustive()
    }
}
