//! What a robot does about one event, from when it gets it until it is done.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use launcher_core::{conversation::Message, names::EventId};
use launcher_runtime::ports::{
    Action, BehaviorFault, FetchFault, Response, Stage, outbox::Attachment,
};
use tokio::{
    sync::SemaphorePermit,
    time::{Instant, timeout, timeout_at},
};
use tracing::warn;

use super::{
    Robot,
    attachment::{self, Wanted},
    errors,
    life::{Desk, Life},
    protocol::{Event, FromRobot, ToRobot},
};

/// What may be wanted about one event.
const MOST_ACTIONS: usize = 50;

/// The most bytes of the lines in which that is written, together.
const MOST_WRITTEN: usize = 2 * 1024 * 1024;

/// The most bytes of a file that a robot gets, and of all files that it sends
/// about one event.
pub(super) const LARGEST_FILE: u32 = 32 * 1024 * 1024;

/// How often the file of an event is fetched, and how long that may take. It is
/// not counted as the robot's time.
pub(super) const MOST_FETCHES: u32 = 3;
pub(super) const FETCHING: Duration = Duration::from_secs(120);

/// How much of what a robot says about a failure is logged, in characters.
const LONGEST_FAILURE: usize = 200;

/// What became of an event.
pub(super) enum Outcome {
    /// It is done, or is for another behavior.
    Settled(Option<Response>),
    /// The robot ended.
    Over,
    /// The robot took too long.
    TooLong,
}

/// What follows from a line of the robot.
enum Step {
    On,
    Fetch(String),
    End(Outcome),
}

/// The work of a robot on one event.
pub(super) struct Work<'a> {
    robot: &'a Robot,
    life: &'a Arc<Life>,
    message: &'a Message,
    stage: &'a dyn Stage,
    desk: Desk,
    /// What is wanted so far.
    actions: Vec<Action>,
    /// The bytes of the lines in which it was written, and of its files.
    written: usize,
    attached: u32,
    /// The room that the files take among those of all events.
    room: Option<SemaphorePermit<'a>>,
    fetches: u32,
}

impl<'a> Work<'a> {
    /// Begins to work on the event with this id.
    pub(super) fn new(
        robot: &'a Robot,
        life: &'a Arc<Life>,
        id: &str,
        message: &'a Message,
        stage: &'a dyn Stage,
    ) -> Self {
        Self {
            robot,
            life,
            message,
            stage,
            desk: Desk::open(life, id),
            actions: Vec::new(),
            written: 0,
            attached: 0,
            room: None,
            fetches: 0,
        }
    }

    /// Gives the robot the event and does as it says, for as long as it may take.
    pub(super) async fn run(mut self, event: Event) -> Result<Outcome, BehaviorFault> {
        let mut until = Instant::now() + self.robot.spec.timeout;
        match timeout_at(until, self.life.tell(&ToRobot::Event(Box::new(event)))).await {
            Ok(true) => {}
            Ok(false) => return Ok(Outcome::Over),
            Err(_) => return Ok(Outcome::TooLong),
        }
        loop {
            match timeout_at(until, self.step()).await {
                Ok(step) => match step? {
                    Step::On => {}
                    Step::Fetch(id) => {
                        let started = Instant::now();
                        self.fetch(id).await?;
                        until += started.elapsed();
                    }
                    Step::End(outcome) => return Ok(outcome),
                },
                Err(_) => return Ok(Outcome::TooLong),
            }
        }
    }

    async fn step(&mut self) -> Result<Step, BehaviorFault> {
        let Some((said, size)) = self.desk.next().await else {
            return Ok(Step::End(Outcome::Over));
        };
        let action = match said {
            FromRobot::Draft { text, .. } => {
                self.stage.draft(&text);
                return Ok(Step::On);
            }
            FromRobot::Fetch { id } => return Ok(Step::Fetch(id)),
            FromRobot::Done { .. } => {
                let actions = std::mem::take(&mut self.actions);
                let response = Response { actions, memories: Vec::new() };
                return Ok(Step::End(Outcome::Settled(Some(response))));
            }
            FromRobot::Pass { .. } => return Ok(Step::End(Outcome::Settled(None))),
            FromRobot::Failed { message, .. } => {
                let why = errors::plain(&message, LONGEST_FAILURE);
                return Err(BehaviorFault::new(format!("the program says: {why}")));
            }
            FromRobot::Say { text, .. } => Action::Say { text },
            FromRobot::Edit { target, text, .. } => {
                Action::Edit { event: EventId::new(target), text }
            }
            FromRobot::React { target, key, .. } => {
                let event = target.map_or_else(|| self.message.event.clone(), EventId::new);
                Action::React { event, key }
            }
            FromRobot::Redact { target, .. } => Action::Redact { event: EventId::new(target) },
            FromRobot::File { id, path, name, content_type, caption } => {
                match self.attach(Wanted { path, name, content_type, caption }).await {
                    Ok(file) => Action::File(file),
                    Err(fault) => {
                        let (room, event_id) = (&self.message.room, &self.message.event);
                        warn!(event = "robot_file_refused", fault, %room, %event_id, "a file of a program is not sent");
                        self.life.tell(&ToRobot::Error { id: Some(id), message: fault }).await;
                        return Ok(Step::On);
                    }
                }
            }
            // They are about no event.
            FromRobot::Ready { .. } | FromRobot::Post { .. } | FromRobot::Pong { .. } => {
                return Ok(Step::On);
            }
        };
        self.want(action, size)?;
        Ok(Step::On)
    }

    fn want(&mut self, action: Action, size: usize) -> Result<(), BehaviorFault> {
        self.written += size;
        if self.written > MOST_WRITTEN {
            let detail = format!("the program wants to say more than {MOST_WRITTEN} bytes at once");
            return Err(BehaviorFault::new(detail));
        }
        if self.actions.len() >= MOST_ACTIONS {
            let detail = format!("the program wants more than {MOST_ACTIONS} things at once");
            return Err(BehaviorFault::new(detail));
        }
        self.actions.push(action);
        Ok(())
    }

    /// Reads a file that the robot wants to send, if there is room for it.
    async fn attach(&mut self, wanted: Wanted) -> Result<Attachment, String> {
        let left = LARGEST_FILE.saturating_sub(self.attached);
        let opened = attachment::open(&self.robot.folder, wanted, LARGEST_FILE).await?;
        let size = opened.size();
        if size > left {
            return Err(format!("with the event's other files it is over {LARGEST_FILE} bytes"));
        }
        let Ok(room) = self.robot.files.try_acquire_many(size) else {
            let fault = "there is no room for it until other events with files are done";
            return Err(fault.to_owned());
        };
        let file = opened.read().await?;
        self.attached += size;
        match &mut self.room {
            Some(own) => own.merge(room),
            none => *none = Some(room),
        }
        Ok(file)
    }

    /// Gives the robot the event's file.
    async fn fetch(&mut self, id: String) -> Result<(), BehaviorFault> {
        self.fetches += 1;
        let without =
            |error: String| ToRobot::Fetched { id: id.clone(), data: None, error: Some(error) };
        let Some(media) = &self.message.media else {
            self.life.tell(&without("there is no file in this event".to_owned())).await;
            return Ok(());
        };
        if self.fetches > MOST_FETCHES {
            let error = format!("it was fetched {MOST_FETCHES} times for this event");
            self.life.tell(&without(error)).await;
            return Ok(());
        }
        let fetching = async {
            // One at a time is in memory until the robot has read it.
            let turn = self.life.turn().await?;
            Some((turn, self.stage.fetch(media, LARGEST_FILE.into()).await))
        };
        let fault = match timeout(FETCHING, fetching).await {
            // The robot has ended.
            Ok(None) => return Ok(()),
            Ok(Some((turn, Ok(bytes)))) => {
                let data = Some(STANDARD.encode(bytes));
                self.life.hand(&ToRobot::Fetched { id, data, error: None }, turn).await;
                return Ok(());
            }
            Ok(Some((_, Err(fault @ FetchFault::Passing { .. })))) => fault.to_string(),
            Ok(Some((_, Err(fault)))) => {
                self.life.tell(&without(fault.to_string())).await;
                return Ok(());
            }
            Err(_) => format!("the message's file did not come within {} s", FETCHING.as_secs()),
        };
        let message = "its file is not to be had now; the event comes again".to_owned();
        self.life.tell(&ToRobot::Error { id: Some(id), message }).await;
        Err(BehaviorFault::new(fault))
    }
}
