//! Questions that a behavior asks before it does something.
//!
//! A question is in the journal before it is sent, and again with its event;
//! what somebody answers is in the journal together with the position at which
//! it arrived. So a kill at any moment leaves a question that is asked once and
//! an answer that counts once.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use launcher_core::{
    approval::{self, Asked, Verdict},
    conversation::Message,
    names::EventId,
};
use tokio::{sync::watch, time::Instant};

use super::{
    SEND_LIMIT, Sending, Sent, reply, scene::Scene, scene::journal as journal_fault, send,
    transaction_part,
};
use crate::{
    clock,
    ports::{
        Answer, AnswerContent, Answered, BehaviorFault, Question,
        journal::{Number, OpenQuestion},
    },
};

/// The questions about messages that wait, of one agent.
#[derive(Debug)]
pub(crate) struct Questions {
    open: Mutex<BTreeMap<(Number, String), OpenQuestion>>,
    changed: watch::Sender<()>,
}

impl Questions {
    /// Those that earlier lives have asked.
    pub(crate) fn new(open: Vec<OpenQuestion>) -> Self {
        let open = open.into_iter().map(|one| ((one.number, one.about.clone()), one)).collect();
        Self { open: Mutex::new(open), changed: watch::Sender::new(()) }
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<(Number, String), OpenQuestion>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer in a message to one of them.
    pub(crate) fn verdict(&self, message: &Message) -> Option<Verdict> {
        let open = self.open();
        let unanswered = open.values().filter(|one| one.verdict.is_none());
        approval::verdict(message, unanswered.map(|one| &one.asked))
    }

    /// Takes over answers that are in the journal.
    pub(crate) fn decide(&self, verdicts: &[Verdict]) {
        for verdict in verdicts {
            let mut open = self.open();
            let asked = open.values_mut().find(|one| one.asked.event == verdict.question);
            if let Some(question) = asked.filter(|one| one.verdict.is_none()) {
                question.verdict = Some(verdict.clone());
            }
        }
        self.changed.send_replace(());
    }

    /// Forgets the questions about a message that is settled.
    pub(crate) fn settle(&self, number: Number) {
        self.open().retain(|(of, _), _| *of != number);
    }

    fn find(&self, number: Number, about: &str) -> Option<OpenQuestion> {
        self.open().get(&(number, about.to_owned())).cloned()
    }

    fn count(&self, number: Number) -> u32 {
        let count = self.open().keys().filter(|(of, _)| *of == number).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    fn keep(&self, question: OpenQuestion) {
        self.open().insert((question.number, question.about.clone()), question);
    }
}

/// See [`Stage::ask`](crate::ports::Stage::ask).
pub(super) async fn ask(scene: &Scene<'_>, question: Question) -> Result<Answered, BehaviorFault> {
    let crew = scene.crew;
    let mut open = match crew.questions.find(scene.number, &question.about) {
        Some(open) => open,
        None => begin(scene, &question).await?,
    };
    if open.asked.event.as_str().is_empty() {
        open.asked.event = put(scene, &question, &open).await?;
        crew.journal.keep_question(&open).await.map_err(journal_fault)?;
        crew.questions.keep(open.clone());
    }
    Ok(scene.aside(answer(scene, &open)).await)
}

async fn begin(scene: &Scene<'_>, question: &Question) -> Result<OpenQuestion, BehaviorFault> {
    let crew = scene.crew;
    let open = OpenQuestion {
        number: scene.number,
        place: crew.questions.count(scene.number),
        about: question.about.clone(),
        asked: Asked {
            event: EventId::new(""),
            users: question.users.clone(),
            require: question.require,
        },
        until: clock::stamp().plus(question.timeout),
        verdict: None,
    };
    crew.journal.keep_question(&open).await.map_err(journal_fault)?;
    crew.questions.keep(open.clone());
    Ok(open)
}

/// Sends the question.
async fn put(
    scene: &Scene<'_>,
    question: &Question,
    open: &OpenQuestion,
) -> Result<EventId, BehaviorFault> {
    let (crew, message) = (scene.crew, scene.message);
    let text = format!("{}\n\n{}", question.text, approval::how(question.require));
    let asked = Answer {
        room: message.room.clone(),
        content: AnswerContent::Text(text),
        reply: reply(message),
        thread: message.thread.clone(),
        transaction: format!("ask-{}-to{}", open.place, transaction_part(&message.event)),
    };
    crew.journal.sending(&asked.transaction).await.map_err(journal_fault)?;
    let sending =
        Sending { what: "question", room: &asked.room, about: &message.event, limit: SEND_LIMIT };
    match send(crew, sending, || crew.session.send(&asked)).await {
        Sent::Accepted(event) => Ok(event),
        Sent::Refused => Err(BehaviorFault::new("a question could not be asked in the room")),
        Sent::Stopped => std::future::pending().await,
    }
}

/// Waits for what somebody answers.
async fn answer(scene: &Scene<'_>, open: &OpenQuestion) -> Answered {
    let questions = &scene.crew.questions;
    let mut changed = questions.changed.subscribe();
    let until = Instant::now() + open.until.since(clock::stamp());
    loop {
        let found = questions.find(open.number, &open.about).and_then(|one| one.verdict);
        if let Some(Verdict { yes, by, .. }) = found {
            return if yes { Answered::Yes(by) } else { Answered::No(by) };
        }
        if Instant::now() >= until {
            return Answered::Expired;
        }
        tokio::select! {
            // The sender lives as long as the crew.
            _ = changed.changed() => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }
}
