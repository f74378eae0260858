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
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use launcher_core::{
    backoff,
    conversation::{Conversations, Ignored, Message},
    fault::Fault,
    fleet::Degradation,
    names::{EventId, RoomId},
    spec::CommandSpec,
};
use tokio::sync::Semaphore;
use tracing::{error, info, warn};

use crate::{
    clock::{self, Clock},
    lines::Done,
    ports::{
        Action, Answer, Behavior, Notice, NoticeKind, SendFault, Session,
        journal::{Journal, Number, Outcome, Queued},
    },
    random,
    report::{BEHAVIOR, Report, SENDING},
    stop::Stop,
};

/// How often a behavior may fail at one message before the message is parked.
pub(crate) const BEHAVIOR_FAILURES: u32 = 3;

/// How often a behavior is asked about one message at most, in all lives. A
/// message that ends the process each time must not end it for ever; stops and
/// kills for other reasons are allowed for.
pub(crate) const BEHAVIOR_TRIES: u32 = 10;

/// Rooms that are worked on at once, per agent. A behavior may take seconds
/// and costs little while it waits. Who waits for another try takes no place.
pub(crate) const ROOMS_AT_ONCE: usize = 8;

/// How long a behavior may take for one message.
const BEHAVIOR_LIMIT: Duration = Duration::from_secs(180);

// A command has to meet its own limit first.
const _: () = assert!(CommandSpec::LONGEST_TIMEOUT.as_secs() + 30 <= BEHAVIOR_LIMIT.as_secs());

/// How long a behavior that failed is left alone; twice that after the second time.
const BEHAVIOR_WAITS: Duration = Duration::from_secs(10);

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
    /// What was said lately, for the guard against loops.
    pub(crate) conversations: Mutex<Conversations>,
    pub(crate) clock: Clock,
    /// Places for those who are at work.
    pub(crate) places: Semaphore,
    /// Rooms in which sending fails again and again.
    pub(crate) failing: AtomicUsize,
}

impl Crew {
    pub(crate) fn conversations(&self) -> MutexGuard<'_, Conversations> {
        self.conversations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does a piece of work when there is a place for it.
    async fn at_work<T>(&self, work: impl Future<Output = T>) -> T {
        // Nobody closes the semaphore; without a permit the work would only be less polite.
        let _place = self.places.acquire().await;
        work.await
    }
}

/// Works on one message until nothing is left to do for it, or until a stop.
pub(crate) async fn answer(crew: &Crew, number: Number) -> Done {
    let Some(queued) = crew.journal.queued(number).await? else { return Ok(()) };
    let asked = match &queued.answers {
        // Once the behavior has answered, nothing may keep the answers from being sent.
        Some(answers) => Some(answers.clone()),
        None if !is_to_be_answered(crew, &queued) => {
            return crew.journal.settle(number, Outcome::Skipped).await;
        }
        None => ask(crew, number, &queued.message).await?,
    };
    let Some(answers) = asked else { return Ok(()) };
    let message = queued.message;
    let mut said = 0;
    for answer in answers {
        let sending = Sending { what: "answer", room: &answer.room, about: &answer.in_reply_to };
        // Noted when it was kept; that may be long ago, and forgotten.
        crew.journal.sending(&answer.transaction).await?;
        match send(crew, sending, || crew.session.send(&answer)).await {
            Sent::Accepted(event) => {
                said += 1;
                let now = crew.clock.now();
                crew.conversations().answered(&message, event, answer.text.clone(), now);
            }
            Sent::Refused => {}
            Sent::Stopped => return Ok(()),
        }
        crew.journal.answer_done(number, &answer.transaction).await?;
    }
    crew.journal.settle(number, Outcome::Done).await?;
    if said > 0 {
        crew.report.count_answered();
    }
    Ok(())
}

/// Whether a message is to be answered now that its turn has come.
fn is_to_be_answered(crew: &Crew, queued: &Queued) -> bool {
    let message = &queued.message;
    let age = message.age + clock::stamp().since(queued.arrived);
    let judged = crew.conversations().judge(message, age, crew.clock.now());
    let (room, event_id) = (&message.room, &message.event);
    match judged {
        Ok(()) => return true,
        Err(Ignored::Stale) => {
            info!(event = "stale_skipped", count = 1, %room, %event_id, "became older than catch_up.max_age while it waited");
        }
        Err(Ignored::Loop) => {
            warn!(%room, sender = %message.sender, %event_id, "another bot answers every answer at once; not answered");
        }
        Err(Ignored::Own | Ignored::NotText | Ignored::Automated) => {}
    }
    false
}

/// Tells the people in a room why a message is not answered.
pub(crate) async fn notify(crew: &Crew, notice: Notice) -> Done {
    crew.journal.sending(&notice.transaction).await?;
    let sending = Sending { what: "notice", room: &notice.room, about: &notice.about };
    match send(crew, sending, || crew.session.send_notice(&notice)).await {
        Sent::Accepted(_) | Sent::Refused => {
            if let NoticeKind::MissingKey { session, .. } = &notice.kind {
                crew.journal.noticed(&notice.room, session).await?;
            }
        }
        Sent::Stopped => {}
    }
    Ok(())
}

/// Asks the behavior until it answers or has failed too often. The answers are
/// in the journal when they are returned.
async fn ask(crew: &Crew, number: Number, message: &Message) -> Result<Option<Vec<Answer>>, Fault> {
    for failures in 1.. {
        let tries = crew.journal.attempt(number).await?;
        let asked = if tries > BEHAVIOR_TRIES {
            // It did not come back from its last attempt: the process ended in it.
            Err("the launcher ended while it was at work".to_owned())
        } else {
            tokio::select! {
                biased;
                () = crew.stop.demanded() => return Ok(None),
                asked = crew.at_work(ask_once(crew, message, tries)) => asked,
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
        if failures >= BEHAVIOR_FAILURES || tries >= BEHAVIOR_TRIES {
            error!(event = "message_parked", %room, %event_id, tries, detail, "the behavior failed too often; the message stays unanswered");
            crew.journal.settle(number, Outcome::GivenUp).await?;
            return Ok(None);
        }
        let wait = BEHAVIOR_WAITS * failures;
        warn!(%room, %event_id, detail, retry_in = ?wait, "the behavior failed");
        tokio::select! {
            biased;
            () = crew.stop.asked() => return Ok(None),
            () = tokio::time::sleep(wait) => {}
        }
    }
    Ok(None)
}

async fn ask_once(crew: &Crew, message: &Message, attempt: u32) -> Result<Vec<Action>, String> {
    let asked = AssertUnwindSafe(crew.behavior.on_message(message, attempt)).catch_unwind();
    match tokio::time::timeout(BEHAVIOR_LIMIT, asked).await {
        Ok(Ok(Ok(actions))) => Ok(actions),
        Ok(Ok(Err(fault))) => Err(fault.to_string()),
        // A panic's text can quote the message; its place is in the log.
        Ok(Err(_)) => Err("it panicked".to_owned()),
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
            sent = crew.at_work(tokio::time::timeout(SEND_LIMIT, attempt())) => {
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
