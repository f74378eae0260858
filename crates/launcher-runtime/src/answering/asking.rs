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
    SEND_LIMIT, Sending, Sent, reply,
    scene::{Pause, Scene, journal as journal_fault},
    send, transaction_part,
};
use crate::{
    clock,
    lines::Done,
    ports::{
        Answer, AnswerContent, Answered, BehaviorFault, Question,
        journal::{Number, OpenQuestion, Stamp},
    },
};

/// Messages that are asked of the journal at once.
const PAGE: usize = 1_000;

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

    /// The answer in a message to one of them, if it comes in time.
    pub(crate) fn verdict(&self, message: &Message, now: Stamp) -> Option<Verdict> {
        let open = self.open();
        let waiting = open.values().filter(|one| one.answered.is_none() && now < one.until);
        approval::verdict(message, waiting.map(|one| &one.asked))
    }

    /// Whether there is one whose event is not known: what seems to be about
    /// nothing may be about that.
    pub(crate) fn are_sent(&self) -> bool {
        self.open().values().all(|one| one.answered.is_some() || !one.asked.event.is_unknown())
    }

    /// Takes over answers that are in the journal.
    pub(crate) fn decide<'a>(&self, verdicts: impl IntoIterator<Item = &'a Verdict>) {
        for verdict in verdicts {
            let mut open = self.open();
            let asked = open.values_mut().find(|one| one.asked.event == verdict.question);
            if let Some(question) = asked.filter(|one| one.answered.is_none()) {
                question.answered = Some(verdict.into());
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

    /// A place that no question about this message has.
    fn free_place(&self, number: Number) -> u32 {
        let open = self.open();
        let places = open.values().filter(|one| one.number == number).map(|one| one.place);
        places.max().map_or(0, |highest| highest.saturating_add(1))
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
    if let Some(answered) = open.answered {
        return Ok(answered);
    }
    if open.asked.event.is_unknown() {
        open.asked.event = put(scene, &question, &open).await?;
        crew.journal.keep_question(&open).await.map_err(journal_fault)?;
        crew.questions.keep(open.clone());
        look_back(scene, &open).await.map_err(journal_fault)?;
    }
    scene.aside(Pause::Waiting, answer(scene, &open)).await.map_err(journal_fault)
}

async fn begin(scene: &Scene<'_>, question: &Question) -> Result<OpenQuestion, BehaviorFault> {
    let crew = scene.crew;
    let open = OpenQuestion {
        number: scene.number,
        place: crew.questions.free_place(scene.number),
        about: question.about.clone(),
        asked: Asked {
            event: EventId::unknown(),
            users: question.users.clone(),
            require: question.require,
        },
        until: clock::stamp().plus(question.timeout),
        answered: None,
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
    let sent = send(crew, sending, || crew.session.send(&asked));
    match scene.aside(Pause::Sending, sent).await {
        Sent::Accepted(event) => Ok(event),
        Sent::Refused => Err(BehaviorFault::new("a question could not be asked in the room")),
        Sent::Stopped => scene.stopped().await,
    }
}

/// Looks for the answer among what has arrived before the question's event was
/// known here: an earlier life may have sent it.
async fn look_back(scene: &Scene<'_>, open: &OpenQuestion) -> Done {
    let crew = scene.crew;
    let mut after = scene.number;
    loop {
        let places = crew.journal.waiting(after, PAGE).await?;
        let Some(last) = places.last() else { return Ok(()) };
        after = last.number;
        for place in places.into_iter().filter(|place| place.room == scene.message.room) {
            let Some(other) = crew.journal.queued(place.number).await? else { continue };
            let in_time = other.arrived < open.until;
            let verdict = approval::verdict(&other.message, [&open.asked]).filter(|_| in_time);
            if let Some(verdict) = verdict {
                crew.journal.take_verdict(&verdict, place.number).await?;
                crew.questions.decide([&verdict]);
                return Ok(());
            }
        }
    }
}

/// Waits for what somebody answers.
async fn answer(scene: &Scene<'_>, open: &OpenQuestion) -> Done<Answered> {
    let questions = &scene.crew.questions;
    let mut changed = questions.changed.subscribe();
    let until = Instant::now() + open.until.since(clock::stamp());
    loop {
        let found = questions.find(open.number, &open.about).and_then(|one| one.answered);
        if let Some(answered) = found {
            return Ok(answered);
        }
        if Instant::now() >= until {
            let answered = scene.crew.journal.expire(open).await?;
            let expired = OpenQuestion { answered: Some(answered.clone()), ..open.clone() };
            questions.keep(expired);
            return Ok(answered);
        }
        tokio::select! {
            // The sender lives as long as the crew.
            _ = changed.changed() => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }
}
