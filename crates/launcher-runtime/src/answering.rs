//! Answers one message: attend to it, ask the behavior, write its answers down,
//! send them.
//!
//! A kill between any two steps is harmless:
//!
//! - before the answers are in the journal, the behavior is asked again;
//! - after that, the same answers are sent under the same transaction ids,
//!   which the server takes for one message however often they come;
//! - a message is settled only when nothing is left to send.

mod asking;
mod attending;
mod behaving;
mod compose;
mod draft;
mod scene;
mod sending;

#[cfg(test)]
mod tests;

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicUsize},
};

use async_trait::async_trait;
use launcher_core::{
    conversation::{Conversations, Message},
    names::UserId,
    rates::Rates,
    spec::AgentSpec,
};
use tokio::sync::Semaphore;
use tracing::debug;

pub use self::compose::transaction_part;
pub(crate) use self::{asking::Questions, compose::answers, scene::journal as journal_fault};
use self::{
    attending::Turn,
    compose::reply,
    sending::{SEND_LIMIT, Sending, Sent, limit, send, too_long},
};
use crate::{
    clock::Clock,
    deferred::Deferred,
    lines::Done,
    ports::{
        Answer, AnswerContent, Behavior, BehaviorFault, Memories, Memory, Notice, NoticeKind,
        Session,
        journal::{Journal, Number, Outcome, Place},
    },
    report::Report,
    room_settings::RoomSettings,
    stop::Stop,
};

#[cfg(test)]
pub(crate) use self::behaving::{BEHAVIOR_FAILURES, BEHAVIOR_TRIES};

/// Rooms that are worked on at once, per agent. A behavior may take seconds
/// and costs little while it waits. Who waits for another try takes no place.
pub(crate) const ROOMS_AT_ONCE: usize = 8;

/// What the work on messages needs.
pub(crate) struct Crew {
    pub(crate) spec: AgentSpec,
    pub(crate) own: UserId,
    pub(crate) session: Arc<dyn Session>,
    pub(crate) behavior: Arc<dyn Behavior>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) report: Arc<Report>,
    pub(crate) stop: Stop,
    /// What was said lately, for the guard against loops.
    pub(crate) conversations: Mutex<Conversations>,
    /// How often was answered lately.
    pub(crate) rates: Mutex<Rates>,
    pub(crate) settings: RoomSettings,
    pub(crate) questions: Questions,
    pub(crate) deferred: Deferred,
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

    /// Nothing is left to do for a message.
    async fn settle(&self, number: Number, outcome: Outcome) -> Done {
        self.journal.settle(number, outcome).await?;
        self.questions.settle(number);
        Ok(())
    }

    pub(crate) fn rates(&self) -> MutexGuard<'_, Rates> {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner)
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
    let message = queued.message.clone();
    let answers = match &queued.answers {
        // Once the behavior has answered, nothing may keep the answers from being sent.
        Some(answers) => answers.clone(),
        None => match attending::attend(crew, queued).await? {
            Turn::Say(answers) => answers,
            Turn::Over => return Ok(()),
            Turn::Later(wait) => {
                crew.deferred.add(Place { number, room: message.room }, wait);
                return Ok(());
            }
            Turn::Ask(queued) => match behaving::behave(crew, *queued).await? {
                Some(answers) => answers,
                None => return Ok(()),
            },
        },
    };
    let Some(answers) = shown(crew, number, &message, answers).await? else { return Ok(()) };
    let mut said = 0;
    for answer in answers {
        let sending = Sending {
            what: "answer",
            room: &answer.room,
            about: &message.event,
            limit: limit(&answer.content),
        };
        // Noted when it was kept; that may be long ago, and forgotten.
        crew.journal.sending(&answer.transaction).await?;
        match send(crew, sending, || crew.session.send(&answer)).await {
            Sent::Accepted(event) => {
                said += 1;
                let shown = match &answer.content {
                    AnswerContent::Edit { event, .. } => event.clone(),
                    _ => event,
                };
                let noted = crew.behavior.said(&message, &shown, &Kept(&*crew.journal)).await;
                if let Err(fault) = noted {
                    debug!(room = %answer.room, error = %fault, "the behavior could not note what it has said");
                }
                let (text, now) = (answer.content.text().to_owned(), crew.clock.now());
                crew.conversations().answered(&message, shown, text, now);
            }
            Sent::Refused => {
                if !excuse(crew, &message, &answer).await? {
                    return Ok(());
                }
            }
            Sent::Stopped => return Ok(()),
        }
        crew.journal.answer_done(number, &answer.transaction).await?;
    }
    crew.settle(number, Outcome::Done).await?;
    if said > 0 {
        crew.report.count_answered();
    }
    Ok(())
}

/// What is remembered, in the journal.
struct Kept<'a>(&'a dyn Journal);

#[async_trait]
impl Memories for Kept<'_> {
    async fn recall(&self, key: &str) -> Result<Option<Vec<u8>>, BehaviorFault> {
        self.0.recall(key).await.map_err(journal_fault)
    }

    async fn remember(&self, memories: Vec<Memory>) -> Result<(), BehaviorFault> {
        self.0.remember(&memories).await.map_err(journal_fault)
    }
}

/// The answers, with the event of the draft where one takes its place: the
/// draft may have been cut off before that was known. `None`: a stop came.
async fn shown(
    crew: &Crew,
    number: Number,
    message: &Message,
    mut answers: Vec<Answer>,
) -> Done<Option<Vec<Answer>>> {
    let is_unknown = |content: &AnswerContent| match content {
        AnswerContent::Edit { event, .. } | AnswerContent::Redaction { event } => {
            event.is_unknown()
        }
        _ => false,
    };
    let Some(at) = answers.iter().position(|answer| is_unknown(&answer.content)) else {
        return Ok(Some(answers));
    };
    let found = match draft::find(crew, number, message).await? {
        Sent::Accepted(event) => Some(event),
        Sent::Refused => None,
        Sent::Stopped => return Ok(None),
    };
    // There is one at most.
    let unsettled = answers.remove(at);
    let content = match (unsettled.content, found) {
        (AnswerContent::Edit { text, .. }, Some(event)) => AnswerContent::Edit { event, text },
        (AnswerContent::Redaction { .. }, Some(event)) => AnswerContent::Redaction { event },
        (AnswerContent::Edit { text, .. }, None) => AnswerContent::Text(text),
        // There is nothing to take back.
        _ => return Ok(Some(answers)),
    };
    answers.insert(at, Answer { content, ..unsettled });
    Ok(Some(answers))
}

/// Says that a file was refused, which people would wait for. `false`: a stop came.
async fn excuse(crew: &Crew, message: &Message, refused: &Answer) -> Done<bool> {
    let AnswerContent::File(file) = &refused.content else { return Ok(true) };
    let name = file.name.replace('`', "'");
    let text = format!("I could not send `{name}`: the server does not take it.");
    let excuse = Answer {
        content: AnswerContent::Text(text),
        transaction: format!("{}-refused", refused.transaction),
        ..refused.clone()
    };
    crew.journal.sending(&excuse.transaction).await?;
    let about = &message.event;
    let sending = Sending { what: "excuse", room: &excuse.room, about, limit: SEND_LIMIT };
    Ok(!matches!(send(crew, sending, || crew.session.send(&excuse)).await, Sent::Stopped))
}

/// Tells the people in a room why a message is not answered.
pub(crate) async fn notify(crew: &Crew, notice: Notice) -> Done {
    crew.journal.sending(&notice.transaction).await?;
    let sending =
        Sending { what: "notice", room: &notice.room, about: &notice.about, limit: SEND_LIMIT };
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
