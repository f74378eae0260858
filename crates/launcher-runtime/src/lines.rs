//! Messages waiting for their answer: one line per room.
//!
//! Within a room one message is worked on at a time, so answers keep the order
//! of the questions and no two sends of one agent meet in a room (the
//! encryption's bookkeeping does not survive that). Different rooms do not
//! wait for each other.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use launcher_core::{
    backoff,
    conversation::Message,
    names::{EventId, RoomId},
};
use tokio::task::{Id, JoinError, JoinSet};
use tracing::{Instrument, error, warn};

use crate::{
    ports::{Action, Answer, Behavior, SendFault, Session},
    random,
    report::Report,
    stop::Stop,
    task,
};

/// Rooms that are worked on at once, per agent. A behavior may take seconds
/// and costs little while it waits.
const ROOMS_AT_ONCE: usize = 8;

/// Messages that may wait before the agent stops reading more: what it has not
/// read, the server keeps.
const ENOUGH: usize = 1_000;

/// How long one attempt to send may take: sharing a room's key with hundreds of
/// devices on a busy server takes many requests. The next attempt continues.
const SEND_LIMIT: Duration = Duration::from_secs(120);

/// What the lines need for their work.
pub(crate) struct Crew {
    pub(crate) session: Arc<dyn Session>,
    pub(crate) behavior: Arc<dyn Behavior>,
    pub(crate) report: Arc<Report>,
    pub(crate) stop: Stop,
}

/// A message that was worked on, with what was said to it.
pub(crate) struct Done {
    pub(crate) message: Message,
    pub(crate) said: Vec<(EventId, String)>,
}

/// The lines of one agent.
pub(crate) struct Lines {
    crew: Arc<Crew>,
    waiting: BTreeMap<RoomId, VecDeque<Message>>,
    count: usize,
    tasks: JoinSet<Done>,
    busy: BTreeMap<RoomId, Id>,
}

impl Lines {
    pub(crate) fn new(crew: Crew) -> Self {
        Self {
            crew: Arc::new(crew),
            waiting: BTreeMap::new(),
            count: 0,
            tasks: JoinSet::new(),
            busy: BTreeMap::new(),
        }
    }

    pub(crate) fn push(&mut self, message: Message) {
        self.count += 1;
        self.waiting.entry(message.room.clone()).or_default().push_back(message);
        self.start();
    }

    /// Whether there is so much to do that reading more should wait.
    pub(crate) fn is_full(&self) -> bool {
        self.count >= ENOUGH
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Ends all work at once and waits until it has ended.
    pub(crate) async fn abandon(&mut self) {
        self.tasks.shutdown().await;
    }

    /// The next message that was worked on; never while [`Lines::is_idle`].
    ///
    /// Cancel safe.
    pub(crate) async fn next_done(&mut self) -> Option<Done> {
        match self.tasks.join_next_with_id().await {
            None => std::future::pending().await,
            Some(ended) => self.on_ended(ended),
        }
    }

    fn on_ended(&mut self, ended: Result<(Id, Done), JoinError>) -> Option<Done> {
        let (id, done) = match ended {
            Ok((id, done)) => (id, Some(done)),
            Err(failed) => {
                let id = failed.id();
                if let Ok(panic) = failed.try_into_panic() {
                    let detail = task::panic_message(&*panic);
                    error!(detail, "the behavior panicked; its message stays unanswered");
                }
                (id, None)
            }
        };
        self.busy.retain(|_, task| *task != id);
        self.start();
        done
    }

    fn start(&mut self) {
        let free = ROOMS_AT_ONCE.saturating_sub(self.tasks.len());
        let rooms: Vec<RoomId> = self
            .waiting
            .keys()
            .filter(|room| !self.busy.contains_key(room))
            .take(free)
            .cloned()
            .collect();
        for room in rooms {
            let Some(line) = self.waiting.get_mut(&room) else { continue };
            let message = line.pop_front();
            if line.is_empty() {
                self.waiting.remove(&room);
            }
            if let Some(message) = message {
                self.count -= 1;
                let work = work(self.crew.clone(), message).in_current_span();
                let handle = task::spawn(&mut self.tasks, work);
                self.busy.insert(room, handle.id());
            }
        }
    }
}

/// Has the behavior answer one message, and sends what it says.
async fn work(crew: Arc<Crew>, message: Message) -> Done {
    let mut said = Vec::new();
    match crew.behavior.on_message(&message).await {
        Ok(actions) => {
            for (number, action) in actions.into_iter().enumerate() {
                let Action::Say { text } = action;
                let answer = answer(&message, number, text);
                if let Some(event) = send(&crew, &answer).await {
                    said.push((event, answer.text));
                }
            }
        }
        Err(fault) => {
            error!(event_id = %message.event, error = %fault, "the behavior failed; its message stays unanswered");
        }
    }
    if !said.is_empty() {
        crew.report.count_answered();
    }
    Done { message, said }
}

fn answer(message: &Message, number: usize, text: String) -> Answer {
    Answer {
        room: message.room.clone(),
        text,
        in_reply_to: message.event.clone(),
        asker: message.sender.clone(),
        thread: message.thread.clone(),
        transaction: transaction(&message.event, number),
    }
}

/// The transaction id follows from the message that is answered, so that even
/// an attempt in another life of the process is the same to the server.
fn transaction(event: &EventId, number: usize) -> String {
    let name: String = event
        .as_str()
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' })
        .collect();
    format!("answer-{number}-to{name}")
}

/// Sends until the server has the answer, refuses it for good, or a stop is demanded.
async fn send(crew: &Crew, answer: &Answer) -> Option<EventId> {
    for attempt in 0.. {
        let sent = tokio::select! {
            biased;
            () = crew.stop.demanded() => return None,
            sent = tokio::time::timeout(SEND_LIMIT, crew.session.send(answer)) => {
                sent.unwrap_or_else(|_| Err(too_long()))
            }
        };
        let wait = match sent {
            Ok(event) => return Some(event),
            Err(SendFault::Refused { detail }) => {
                error!(event_id = %answer.in_reply_to, detail, "the answer was refused and is given up");
                return None;
            }
            Err(SendFault::Passing { detail, retry_after }) => {
                let wait = backoff::wait(attempt, random::fraction(), retry_after);
                warn!(event_id = %answer.in_reply_to, detail, retry_in = ?wait, "sending the answer failed");
                wait
            }
        };
        tokio::select! {
            biased;
            () = crew.stop.demanded() => return None,
            () = tokio::time::sleep(wait) => {}
        }
    }
    None
}

fn too_long() -> SendFault {
    let detail = format!("sending took longer than {} s", SEND_LIMIT.as_secs());
    SendFault::Passing { detail, retry_after: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_id_is_the_same_for_every_attempt_and_for_no_other_answer() {
        let event = EventId::new("$Ab-_/+:x");
        assert_eq!(transaction(&event, 0), "answer-0-to_Ab_____x");
        assert_ne!(transaction(&event, 0), transaction(&event, 1));
    }
}
