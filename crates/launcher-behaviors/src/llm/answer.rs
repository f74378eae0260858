//! One answer: asking, calling what the model wants called, asking again; and
//! what is done when a model fails.

use std::hash::{BuildHasher, RandomState};

use launcher_core::{
    conversation::Message,
    llm::{
        fault::{Next, Tried, next},
        history::History,
        model::{ModelSpec, Provider},
    },
    names::UserId,
};
use launcher_runtime::ports::{BehaviorFault, Stage};
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use super::{
    Llm,
    booking::Failed,
    provider::{ModelFault, ModelRequest, Reply, Said, Turn},
    question::{self, Question},
    tools::{self, Offer},
    weight::Weight,
    work::Work,
};

/// How many calls of one reply are made. A model that goes in circles can want
/// hundreds.
const CALLS: usize = 16;

/// What a model is told of calls that are too many.
const TOO_MANY: &str = "These are too many calls at once. Nothing was done.";

/// What a model is told of calls for which there is no time any more.
const NO_TIME: &str = "There is no time left for this. Nothing was done.";

/// What is said if the time for an answer is over.
const LATE: &str = "I ran out of time for this answer. Please ask for less at once.";

/// What is said if an earlier version was interrupted in the middle.
const LOST: &str = "I was interrupted while I worked on this, and I do not know how far I came. \
                    Please look before you ask again.";

/// What a model is told that calls and calls.
const ENOUGH: &str = "Nothing more can be called for this answer. Nothing was done. Answer with \
                      what you know.";

/// What is said of an answer that came to no end.
const ENDLESS: &str = "I called as much as I may and came to no answer. Please ask for less at \
                       once.";

/// What becomes of a question.
pub(super) struct Answer {
    /// What is said; never empty.
    pub(super) text: String,
    /// It is a whole answer, and no excuse.
    pub(super) complete: bool,
    /// How many tokens a question was thought to have, and had.
    pub(super) counted: Option<(u64, u64)>,
}

/// A message that is being answered.
pub(super) struct Asking<'a> {
    llm: &'a Llm,
    message: &'a Message,
    system: &'a str,
    question: &'a Question,
    history: &'a History,
    stage: &'a dyn Stage,
    until: Instant,
    /// Which of the models is asked.
    at: usize,
    counted: Option<(u64, u64)>,
}

impl<'a> Asking<'a> {
    pub(super) fn new(
        llm: &'a Llm,
        message: &'a Message,
        system: &'a str,
        question: &'a Question,
        history: &'a History,
        stage: &'a dyn Stage,
    ) -> Self {
        let until = Instant::now() + llm.spec.timeout;
        Self { llm, message, system, question, history, stage, until, at: 0, counted: None }
    }

    /// Answers, with the first of these models that does.
    ///
    /// # Errors
    ///
    /// The journal does not work. Everything else is said in the answer.
    pub(super) async fn answer(mut self, models: &[&str]) -> Result<Answer, BehaviorFault> {
        let Some(mut work) = Work::of(self.stage) else {
            return Ok(self.end(LOST.to_owned(), false));
        };
        let offers = self.llm.tools.list().await;
        let rounds = usize::try_from(self.llm.spec.rounds).unwrap_or(usize::MAX);
        loop {
            let enough = work.rounds() > rounds;
            self.call(&mut work, &offers, enough).await?;
            let reply = match self.reply(&work, &offers, models).await? {
                Ok(reply) => reply,
                Err(said) => return Ok(self.end(join(&work.text(), &said), false)),
            };
            if reply.said.calls.is_empty() {
                let text = join(&work.text(), &reply.said.text);
                let text = if reply.cut {
                    join(&text, "*(cut: this is as long as I may answer)*")
                } else {
                    text
                };
                return Ok(self.end(text, true));
            }
            if enough {
                let said = join(&reply.said.text, ENDLESS);
                return Ok(self.end(join(&work.text(), &said), false));
            }
            work.say(reply.said);
            work.note(self.stage).await?;
        }
    }

    fn end(&self, text: String, complete: bool) -> Answer {
        Answer { text, complete, counted: self.counted }
    }

    /// Makes the calls that the model wants and that have not been made.
    async fn call(
        &mut self,
        work: &mut Work,
        offers: &[Offer],
        enough: bool,
    ) -> Result<(), BehaviorFault> {
        let mut noted = true;
        while let Some((said, index)) = work.open() {
            let Some(call) = said.calls.get(index).cloned() else { return Ok(()) };
            let made = if work.has_begun() {
                tools::interrupted(&call)
            } else if enough {
                tools::over(&call, ENOUGH)
            } else if index >= CALLS {
                tools::over(&call, TOO_MANY)
            } else if Instant::now() >= self.until {
                tools::over(&call, NO_TIME)
            } else {
                let tools = &*self.llm.tools;
                let made = tools::make(tools, offers, &call, work, self.stage).await?;
                // People may take their time.
                self.until += made.asked;
                made
            };
            work.end(made.result);
            // The others are noted together: they can be made again.
            noted = made.acted;
            if made.acted {
                work.note(self.stage).await?;
            }
        }
        if !noted {
            work.note(self.stage).await?;
        }
        Ok(())
    }

    /// What a model says next, or what is said because none says anything.
    async fn reply(
        &mut self,
        work: &Work,
        offers: &[Offer],
        models: &[&str],
    ) -> Result<Result<Reply, String>, BehaviorFault> {
        let mut tried = Tried::default();
        let mut budget = u64::from(self.llm.spec.history.tokens);
        loop {
            let name = models.get(self.at).copied().unwrap_or(&self.llm.spec.model);
            let failed = match self.ask(name, work, offers, budget).await? {
                Ok(reply) => return Ok(Ok(reply)),
                Err(failed) => failed,
            };
            let (fault, partial) = match failed {
                Failed::Fault(fault, partial) => (fault, partial),
                Failed::UsedUp(used_up) => {
                    info!(event = "spending_limit", limit = used_up.code(), room = %self.message.room, event_id = %self.message.event, "not answered: what may be spent today is used up");
                    return Ok(Err(used_up.refusal(&self.llm.spec.timezone)));
                }
                Failed::Late(partial) => {
                    warn!(event = "answer_late", model = name, limit = ?self.llm.spec.timeout, room = %self.message.room, event_id = %self.message.event, "an answer took longer than behavior.llm.timeout");
                    return Ok(Err(join(&partial, LATE)));
                }
            };
            tried.failures += 1;
            tried.shown |= !partial.trim().is_empty();
            // There is nothing to leave out.
            tried.shortened |= self.history.within(budget).is_empty();
            let left = self.until.saturating_duration_since(Instant::now());
            let others = self.at + 1 < models.len();
            let next = next(fault.kind, tried, fault.retry_after, left, others, jitter());
            self.log(name, &fault, next);
            match next {
                Next::Again(wait) => sleep(wait).await,
                Next::Shorter => {
                    tried.shortened = true;
                    budget /= 2;
                }
                Next::OtherModel => {
                    self.at += 1;
                    tried = Tried { shown: tried.shown, ..Tried::default() };
                    budget = u64::from(self.llm.spec.history.tokens);
                }
                Next::GiveUp => return Ok(Err(join(&partial, fault.kind.apology()))),
            }
        }
    }

    fn log(&self, model: &str, fault: &ModelFault, next: Next) {
        let next = match next {
            Next::Again(_) => "again",
            Next::Shorter => "shorter",
            Next::OtherModel => "other_model",
            Next::GiveUp => "give_up",
        };
        let (kind, room, event_id) = (fault.kind.code(), &self.message.room, &self.message.event);
        if fault.kind.is_for_operator() {
            error!(event = "model_failed", model, kind, next, error = %fault, %room, %event_id, "a model gave no answer, and does not without its operator");
        } else {
            warn!(event = "model_failed", model, kind, next, error = %fault, %room, %event_id, "a model gave no answer");
        }
    }

    /// Asks one model once.
    async fn ask(
        &mut self,
        name: &str,
        work: &Work,
        offers: &[Offer],
        budget: u64,
    ) -> Result<Result<Reply, Failed>, BehaviorFault> {
        let Some(spec) = self.llm.spec.models.get(name) else {
            return Err(BehaviorFault::new("a model is asked that there is not"));
        };
        let tools: Vec<_> = offers.iter().map(|offer| offer.tool.clone()).collect();
        let mut rest = vec![self.turn(name)];
        rest.extend(work.turns());
        let estimator = &self.history.estimator;
        let fixed = Weight::fixed(self.system, &tools).plus(Weight::of(&rest));
        if let Some(fault) = too_long(spec, fixed.tokens(estimator)) {
            return Ok(Err(Failed::Fault(fault, String::new())));
        }
        let room = spec.room_for_question().saturating_sub(fixed.tokens(estimator));
        let mut turns: Vec<Turn> = Vec::new();
        for exchange in self.history.within(budget.min(room)) {
            let text = self.told(&exchange.user, &exchange.question());
            turns.push(Turn::User { text, images: Vec::new() });
            turns.push(Turn::Assistant(Said::text(&exchange.answered)));
        }
        let weight = fixed.plus(Weight::of(&turns));
        let (estimate, most) = (weight.tokens(estimator), weight.at_most(estimator));
        turns.extend(rest);
        let request =
            ModelRequest { system: self.system, turns: &turns, tools: &tools, max_tokens: None };
        let before = work.text();
        let stage = self.stage;
        let show = |so_far: &str| stage.draft(&join(&before, so_far));
        let asked = self.llm.ask(name, request, most, self.until, stage, show).await?;
        if let Ok(Reply { usage: Some(usage), .. }) = &asked
            && self.question.pictures.is_empty()
        {
            self.counted = Some((estimate, usage.input));
        }
        Ok(asked)
    }

    /// What a model is told that somebody said.
    fn told(&self, user: &UserId, text: &str) -> String {
        question::told(&self.llm.own, self.message.direct, user, text)
    }

    /// The question, without pictures that this model cannot see.
    fn turn(&self, model: &str) -> Turn {
        let sees = |media_type: &str| {
            self.llm.models.get(model).is_some_and(|model| model.sees(media_type))
        };
        let (mut text, mut images) = (self.question.text(), self.question.pictures.clone());
        if !images.iter().all(|one| sees(&one.media_type)) {
            text = join(&text, "[the picture has a format that you cannot see]");
            images = Vec::new();
        }
        Turn::User { text: self.told(&self.message.sender, &text), images }
    }
}

/// A question that surely does not fit is not asked: it would cost something,
/// and Ollama would cut it and say nothing. Our counts are high, so others may
/// judge for themselves what is near the limit.
fn too_long(spec: &ModelSpec, tokens: u64) -> Option<ModelFault> {
    let limit = spec.room_for_question();
    let sure = if spec.provider == Provider::Ollama { tokens } else { tokens / 2 };
    (sure > limit).then(|| ModelFault::too_long(tokens, limit))
}

/// Two texts with a gap between them.
fn join(one: &str, other: &str) -> String {
    match (one.trim_end(), other) {
        ("", other) => other.to_owned(),
        (one, "") => one.to_owned(),
        (one, other) => format!("{one}\n\n{other}"),
    }
}

/// A number from 0 to 1, so that many agents do not come back at once.
fn jitter() -> f64 {
    let number = RandomState::new().hash_one(0_u8);
    f64::from(u32::try_from(number >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}
