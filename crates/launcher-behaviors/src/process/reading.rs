//! What a robot writes, line by line.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use launcher_core::names::RoomId;
use launcher_runtime::ports::{Action, Initiative, Task, ToDo};
use tokio::net::unix::pipe::Receiver;
use tracing::{info, warn};

use super::{
    allowance::Allowance,
    life::Published,
    protocol::{FromRobot, LONGEST_LINE, ToRobot, VERSION},
};
use crate::child::{Line, Lines};

/// How many lines in a row may make no sense.
const MOST_INVALID: u32 = 5;

/// How many posts there may be in a minute, and how many bytes of text each. What
/// is more is a program that went wild: each of them stays in the journal.
const MOST_POSTS: u32 = 60;
const LONGEST_POST: usize = 64 * 1024;

/// The longest key of a post, in bytes.
const LONGEST_KEY: usize = 200;

/// The longest id of an event that a robot is told, in bytes: those of tasks
/// are longer than the 255 that Matrix allows.
const LONGEST_ID: usize = 1024;

/// The longest text about a line that is not understood, in characters.
const LONGEST_ERROR: usize = 500;

/// Reads what a robot writes and hands it to whoever waits for it.
pub(super) struct Reader<'a> {
    published: &'a Published<'a>,
    initiative: Arc<dyn Initiative>,
    posts: Allowance,
    /// Lines without sense since the last one that had some.
    invalid: u32,
}

impl<'a> Reader<'a> {
    pub(super) fn new(published: &'a Published<'a>, initiative: Arc<dyn Initiative>) -> Self {
        let posts = Allowance::new(MOST_POSTS, Duration::from_secs(60));
        Self { published, initiative, posts, invalid: 0 }
    }

    /// Reads until there is a reason to end the robot.
    pub(super) async fn read(mut self, mut lines: Lines<Receiver>) -> String {
        loop {
            let line = match lines.next().await {
                Ok(Some(line)) => line,
                // Most often it ends now; how says more than this would.
                Ok(None) | Err(_) => return std::future::pending().await,
            };
            let understood = match line {
                Line::Whole(line) if line.trim_ascii().is_empty() => continue,
                Line::Whole(line) => match serde_json::from_slice(&line) {
                    Ok(said) => Ok((said, line.len())),
                    Err(error) => {
                        // The error quotes the line: it is for the robot only.
                        let column = error.column();
                        let logged = format!("no message of the protocol, at column {column}");
                        Err((logged, error.to_string()))
                    }
                },
                Line::Cut(_) => {
                    let fault = format!("longer than {LONGEST_LINE} bytes");
                    Err((fault.clone(), fault))
                }
            };
            let end = match understood {
                Ok((said, size)) => self.take(said, size).await,
                Err((logged, told)) => self.refuse(&logged, told).await,
            };
            if let Some(why) = end {
                return why;
            }
        }
    }

    /// Does what a line of `size` bytes says.
    async fn take(&mut self, said: FromRobot, size: usize) -> Option<String> {
        if let FromRobot::Ready { version } = said {
            if version != VERSION {
                return Some(format!("the program speaks version {version}, not {VERSION}"));
            }
            self.published.publish();
            info!(event = "robot_ready", "a program is ready for events");
        } else if !self.published.is_ready() {
            let fault = "before `ready` nothing else can be said".to_owned();
            return self.refuse(&fault.clone(), fault).await;
        } else if let FromRobot::Pong { n } = said {
            self.published.life.answered.fetch_max(n, Ordering::Relaxed);
        } else if let FromRobot::Post { key, room, text } = said {
            self.post(key, &room, text).await;
        } else if let Some(id) = said.event().map(str::to_owned) {
            let life = &self.published.life;
            if !life.deliver(&id, said, size).await {
                let message = "this event is not in hand: it is done, or took too long".to_owned();
                let id = Some(id).filter(|id| id.len() <= LONGEST_ID);
                life.tell(&ToRobot::Error { id, message }).await;
            }
        }
        self.invalid = 0;
        None
    }

    async fn refuse(&mut self, logged: &str, told: String) -> Option<String> {
        self.invalid += 1;
        warn!(event = "robot_line_refused", why = logged, "a line of a program was not understood");
        // It can be as long as the line.
        let message = told.chars().take(LONGEST_ERROR).collect();
        self.published.life.tell(&ToRobot::Error { id: None, message }).await;
        (self.invalid >= MOST_INVALID)
            .then(|| format!("the program wrote {MOST_INVALID} lines in a row that make no sense"))
    }

    async fn post(&mut self, key: String, room: &str, text: String) {
        let answer = match self.begin(&key, room, text).await {
            Ok(new) => ToRobot::Posted { key, new },
            Err(fault) => {
                warn!(event = "robot_post_refused", fault, "a post of a program is not sent");
                ToRobot::Error { id: None, message: format!("the post is not sent: {fault}") }
            }
        };
        self.published.life.tell(&answer).await;
    }

    async fn begin(&mut self, key: &str, room: &str, text: String) -> Result<bool, String> {
        if key.is_empty() || key.len() > LONGEST_KEY {
            return Err(format!("its key has to have 1 to {LONGEST_KEY} bytes"));
        }
        if text.len() > LONGEST_POST {
            return Err(format!("its text may have at most {LONGEST_POST} bytes"));
        }
        let room = RoomId::typed(room).ok_or("its room is not a room id, `!…`")?;
        if !self.posts.take(Instant::now()) {
            return Err(format!("there may be {MOST_POSTS} in a minute; post it again later"));
        }
        let task = Task {
            id: format!("process/{key}"),
            room,
            what: ToDo::Act(vec![Action::Say { text }]),
        };
        self.initiative.begin(task, Vec::new()).await.map_err(|fault| fault.to_string())
    }
}

impl FromRobot {
    /// The event that it is about.
    fn event(&self) -> Option<&str> {
        match self {
            Self::Say { id, .. }
            | Self::Edit { id, .. }
            | Self::React { id, .. }
            | Self::Redact { id, .. }
            | Self::File { id, .. }
            | Self::Draft { id, .. }
            | Self::Fetch { id }
            | Self::Done { id }
            | Self::Pass { id }
            | Self::Failed { id, .. } => Some(id),
            Self::Ready { .. } | Self::Post { .. } | Self::Pong { .. } => None,
        }
    }
}
