//! Answers one message: ask the behavior, write its answers down, send them.
//!
//! A kill between any two steps is harmless:
//!
//! - before the answers are in the journal, the behavior is asked again;
//! - after that, the same answers are sent under the same transaction ids,
//!   which the server takes for one message however often they come;
//! - a message is settled only when nothing is left to send.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use launcher_core::{
    backoff,
    conversation::Message,
    fault::Fault,
    fleet::Degradation,
    names::{EventId, RoomId},
};
use tracing::{error, warn};

use crate::{
    lines::{Answered, Done},
    ports::{
        Action, Answer, Behavior, Notice, SendFault, Session,
        journal::{Journal, Number, Outcome, Queued},
    },
    random,
    report::{BEHAVIOR, Report, SENDING},
    stop::Stop,
    task,
};

/// How often a behavior is asked about one message before the message is
/// parked. The count survives kills: a message that ends the process does not
/// end it for ever.
pub(crate) const BEHAVIOR_TRIES: u32 = 3;

/// How long a behavior may take for one message.
const BEHAVIOR_LIMIT: Duration = Duration::from_secs(180);

/// How long one attempt to send may take: sharing a room's key with hundreds of
/// devices on a busy server takes many requests. The next attempt continues.
const SEND_LIMIT: Duration = Duration::from_secs(120);

/// From this attempt on the waits between them grow no more: 32 seconds at
/// most, so that a server that is back is soon noticed.
const LONGEST_WAIT: u32 = 5;

/// Failed attempts to send after which `status` shows them.
const FAILURES_TO_SHOW: u32 = 3;

/// What the work on messages needs.
pub(crate) struct Crew {
    pub(crate) session: Arc<dyn Session>,
    pub(crate) behavior: Arc<dyn Behavior>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) report: Arc<Report>,
    pub(crate) stop: Stop,
    /// Rooms in which sending fails again and again.
    pub(crate) failing: AtomicUsize,
}

/// Works on one message until nothing is left to do for it, or until a stop.
pub(crate) async fn answer(crew: &Crew, queued: Queued) -> Done {
    let Queued { number, message, answers, .. } = queued;
    let asked = match answers {
        Some(answers) => Some(answers),
        None => ask(crew, number, &message).await?,
    };
    let Some(answers) = asked else { return Ok(None) };
    let mut said = Vec::new();
    for answer in answers {
        let sending = Sending { what: "answer", room: &answer.room, about: &answer.in_reply_to };
        match send(crew, sending, || crew.session.send(&answer)).await {
            Sent::Accepted(event) => said.push((event, answer.text)),
            Sent::Refused => {}
            Sent::Stopped => return Ok(None),
        }
        crew.journal.answer_done(number, &answer.transaction).await?;
    }
    crew.journal.settle(number, Outcome::Done).await?;
    if said.is_empty() {
        return Ok(None);
    }
    crew.report.count_answered();
    Ok(Some(Answered { message, said }))
}

/// Tells the people in a room that a message cannot be read.
pub(crate) async fn notify(crew: &Crew, notice: Notice) -> Done {
    let sending = Sending { what: "notice", room: &notice.room, about: &notice.about };
    match send(crew, sending, || crew.session.send_notice(&notice)).await {
        Sent::Accepted(_) | Sent::Refused => {
            crew.journal.noticed(&notice.room, &notice.session).await?;
        }
        Sent::Stopped => {}
    }
    Ok(None)
}

/// Asks the behavior until it answers or has failed too often. The answers are
/// in the journal when they are returned.
async fn ask(crew: &Crew, number: Number, message: &Message) -> Result<Option<Vec<Answer>>, Fault> {
    loop {
        let tries = crew.journal.attempt(number).await?;
        let asked = if tries > BEHAVIOR_TRIES {
            // It did not come back from its last attempt: the process ended in it.
            Err("the launcher ended while it was at work".to_owned())
        } else {
            tokio::select! {
                biased;
                () = crew.stop.demanded() => return Ok(None),
                asked = ask_once(crew, message) => asked,
            }
        };
        let detail = match asked {
            Ok(actions) => {
                crew.report.set_degraded(BEHAVIOR, None);
                let answers: Vec<Answer> = actions
                    .into_iter()
                    .enumerate()
                    .map(|(part, Action::Say { text })| Answer {
                        room: message.room.clone(),
                        text,
                        in_reply_to: message.event.clone(),
                        asker: message.sender.clone(),
                        thread: message.thread.clone(),
                        transaction: transaction(&message.event, part),
                    })
                    .collect();
                crew.journal.keep_answers(number, &answers).await?;
                return Ok(Some(answers));
            }
            Err(detail) => detail,
        };
        let (room, event_id) = (&message.room, &message.event);
        crew.report.set_degraded(BEHAVIOR, Some(behavior_fails(&detail)));
        if tries >= BEHAVIOR_TRIES {
            error!(event = "message_parked", %room, %event_id, tries, detail, "the behavior failed too often; the message stays unanswered");
            crew.journal.settle(number, Outcome::GivenUp).await?;
            return Ok(None);
        }
        let wait = backoff::wait(tries - 1, random::fraction(), None);
        warn!(%room, %event_id, detail, retry_in = ?wait, "the behavior failed");
        tokio::select! {
            biased;
            () = crew.stop.asked() => return Ok(None),
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn ask_once(crew: &Crew, message: &Message) -> Result<Vec<Action>, String> {
    let asked = AssertUnwindSafe(crew.behavior.on_message(message)).catch_unwind();
    match tokio::time::timeout(BEHAVIOR_LIMIT, asked).await {
        Ok(Ok(Ok(actions))) => Ok(actions),
        Ok(Ok(Err(fault))) => Err(fault.to_string()),
        Ok(Err(panic)) => Err(format!("it panicked: {}", task::panic_message(&*panic))),
        Err(_) => Err(format!("it took longer than {} s", BEHAVIOR_LIMIT.as_secs())),
    }
}

fn behavior_fails(detail: &str) -> Degradation {
    Degradation {
        reason: format!("behavior_failed: {detail}"),
        action: "look at the agent's behavior in its config.yaml and at the log".to_owned(),
    }
}

/// The transaction id follows from the message that is answered, so that even
/// an attempt after a loss of the journal is the same to the server.
fn transaction(event: &EventId, part: usize) -> String {
    format!("answer-{part}-to{}", transaction_part(event))
}

/// An event id as part of a transaction id.
pub fn transaction_part(event: &EventId) -> String {
    let allowed = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
    event.as_str().chars().map(allowed).collect()
}

/// What is being sent, for the log.
struct Sending<'a> {
    what: &'static str,
    room: &'a RoomId,
    about: &'a EventId,
}

enum Sent {
    Accepted(EventId),
    Refused,
    Stopped,
}

/// Sends until the server has it, refuses it for good, or a stop comes.
async fn send<F>(crew: &Crew, sending: Sending<'_>, attempt: impl Fn() -> F) -> Sent
where
    F: Future<Output = Result<EventId, SendFault>>,
{
    let Sending { what, room, about } = sending;
    let mut failing = Failing { crew, marked: false };
    for failures in 0.. {
        let sent = tokio::select! {
            biased;
            () = crew.stop.demanded() => return Sent::Stopped,
            sent = tokio::time::timeout(SEND_LIMIT, attempt()) => {
                sent.unwrap_or_else(|_| Err(too_long()))
            }
        };
        let wait = match sent {
            Ok(event) => return Sent::Accepted(event),
            Err(SendFault::Refused { detail }) => {
                error!(%room, event_id = %about, what, detail, "refused and given up");
                return Sent::Refused;
            }
            Err(SendFault::Passing { detail, retry_after }) => {
                let wait =
                    backoff::wait(failures.min(LONGEST_WAIT), random::fraction(), retry_after);
                warn!(%room, event_id = %about, what, detail, retry_in = ?wait, "sending failed");
                if failures + 1 >= FAILURES_TO_SHOW {
                    failing.mark(room, &detail);
                }
                wait
            }
        };
        tokio::select! {
            biased;
            // It is in the journal; the next life goes on with it.
            () = crew.stop.asked() => return Sent::Stopped,
            () = tokio::time::sleep(wait) => {}
        }
    }
    Sent::Stopped
}

/// Shows in `status` that sending fails, until it does no more in any room.
struct Failing<'a> {
    crew: &'a Crew,
    marked: bool,
}

impl Failing<'_> {
    fn mark(&mut self, room: &RoomId, detail: &str) {
        if !self.marked {
            self.marked = true;
            self.crew.failing.fetch_add(1, Ordering::Relaxed);
        }
        let found = Degradation {
            reason: format!("sending_fails: {room}: {detail}"),
            action: "nothing is lost and sending goes on; look at the homeserver".to_owned(),
        };
        self.crew.report.set_degraded(SENDING, Some(found));
    }
}

impl Drop for Failing<'_> {
    fn drop(&mut self) {
        if self.marked && self.crew.failing.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.crew.report.set_degraded(SENDING, None);
        }
    }
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
