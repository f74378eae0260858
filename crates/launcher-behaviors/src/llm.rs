//! Answers with the help of a language model.
//!
//! A message becomes a question: the operator's prompt, what was said before in
//! the same room and thread, and the message with its files. The answer is
//! shown while it is written, and sent once. What goes wrong is tried again or
//! elsewhere by its kind; when nothing helps, the room is told so.
//!
//! A model sees what is in the question and nothing else. That is the whole
//! protection of secrets: no key, token, file or variable of the launcher is
//! ever in there, so nobody can talk a model into telling one. What the model
//! wants to have *done* goes through [`Tools`], and what acts is agreed to by a
//! person first.

mod agreement;
mod answer;
mod booking;
mod mcp;
mod memory;
mod prompt;
mod provider;
mod purse;
mod question;
mod rooms;
mod summary;
mod tools;
mod weight;
mod work;

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::{Timestamp, Zoned, tz::TimeZone};
use launcher_core::{
    conversation::{Message, MessageKind},
    help::Word,
    llm::{
        history::{Exchange, History},
        mode::{self, Meaning},
    },
    names::EventId,
    settings::{MODE, MODEL},
    spec::{LlmSpec, ModeSpec},
};
use launcher_runtime::ports::{Behavior, BehaviorFault, Initiative, Memories, Response, Stage};
use tracing::{info, warn};

use self::{
    answer::Asking,
    mcp::Servers,
    memory::Room,
    provider::{Model, Transport},
    purse::Purse,
    question::Question,
    rooms::Rooms,
};

pub(crate) use self::tools::{NoTools, Tools};

/// How much longer than an answer may take the behavior gets: the summary of
/// what was said before, and writing things down.
const SPARE: Duration = Duration::from_secs(60);

/// How often it is looked whether something is too old to be remembered, at most
/// and at least.
const LOOKS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));

/// Answers every message with what a model says to it.
#[derive(Debug)]
pub struct Llm {
    spec: LlmSpec,
    /// The agent's own user id, as prompts have it.
    own: String,
    zone: TimeZone,
    models: BTreeMap<String, Model>,
    purse: Purse,
    rooms: Rooms,
    tools: Arc<dyn Tools>,
}

impl Llm {
    /// An assistant. `own` is the agent's user id, `folder` its folder.
    pub fn new(spec: LlmSpec, own: String, folder: &Path) -> Self {
        let tools: Arc<dyn Tools> = match spec.tools.servers.is_empty() {
            true => Arc::new(NoTools),
            false => Arc::new(Servers::new(&spec.tools, folder)),
        };
        Self::with_tools(spec, own, tools)
    }

    /// An assistant with tools.
    pub(crate) fn with_tools(spec: LlmSpec, own: String, tools: Arc<dyn Tools>) -> Self {
        let transport = Transport::shared();
        let models = spec.models.iter();
        let models = models.map(|(name, one)| (name.clone(), Model::new(one, &transport)));
        Self {
            models: models.collect(),
            own,
            // It was looked at when the config was read.
            zone: TimeZone::get(&spec.timezone).unwrap_or(TimeZone::UTC),
            purse: Purse::new(spec.spending),
            rooms: Rooms::new(rooms::REST),
            tools,
            spec,
        }
    }

    fn now(&self) -> Zoned {
        Timestamp::now().to_zoned(self.zone.clone())
    }

    /// What was said before in the message's room, without what is too old.
    async fn remembered(
        &self,
        message: &Message,
        stage: &dyn Stage,
    ) -> Result<Room, BehaviorFault> {
        let mut room = Room::recall(stage, &message.room).await?;
        room.expire(self.oldest());
        Ok(room)
    }

    /// What was said before this second is not remembered any more.
    fn oldest(&self) -> u64 {
        match self.spec.history.tokens {
            0 => u64::MAX,
            _ => seconds().saturating_sub(self.spec.history.keep.as_secs()),
        }
    }

    /// Forgets what is too old, again and again; never ends.
    async fn age(&self, initiative: &dyn Initiative) {
        let (least, most) = LOOKS;
        loop {
            if let Err(fault) = self.rooms.expire(initiative, self.oldest()).await {
                warn!(event = "history_kept_too_long", error = %fault, "what is too old could not be forgotten; it is tried again");
            }
            tokio::time::sleep((self.spec.history.keep / 4).clamp(least, most)).await;
        }
    }

    async fn forget(
        &self,
        message: &Message,
        stage: &dyn Stage,
        everywhere: bool,
    ) -> Result<Response, BehaviorFault> {
        let mut room = self.remembered(message, stage).await?;
        let there_was =
            if everywhere { room.clear() } else { room.remove(message.thread.as_ref()) };
        info!(event = "conversation_forgotten", room = %message.room, sender = %message.sender, everywhere, "what was said in a room was forgotten");
        let text = match (there_was, everywhere, message.thread.is_some()) {
            (false, ..) => "There was nothing to forget.",
            (true, true, _) => "I have forgotten what was said in this room and its threads.",
            (true, false, true) => "I have forgotten what was said in this thread.",
            (true, false, false) => {
                "I have forgotten what was said in this room. What was said in its threads I \
                 forget with `!forget all`."
            }
        };
        Ok(Response { memories: vec![room.memory(&message.room)?], ..Response::say(text) })
    }

    /// Takes in that an earlier message says something else, or nothing any more.
    async fn changed(
        &self,
        message: &Message,
        stage: &dyn Stage,
    ) -> Result<Option<Response>, BehaviorFault> {
        let Some(target) = &message.target else { return Ok(None) };
        let mut room = self.remembered(message, stage).await?;
        let changed = match message.kind {
            // Whether somebody may take a message back is the server's affair.
            MessageKind::Redaction => room.redact(target),
            // Only who wrote a message can change it (spec, 11.5.4).
            _ if room.is_by(target, &message.sender) => room.edit(target, self.asked(message)),
            _ => false,
        };
        if !changed {
            return Ok(None);
        }
        Ok(Some(Response { memories: vec![room.memory(&message.room)?], ..Response::default() }))
    }

    /// A text without the prefix of a mode.
    fn asked<'a>(&'a self, message: &'a Message) -> &'a str {
        match self.meaning(message) {
            Meaning::Ask { text, .. } => text,
            Meaning::Forget { .. } => "",
        }
    }

    fn meaning<'a>(&'a self, message: &'a Message) -> Meaning<'a> {
        mode::meaning(&message.body, self.spec.modes.keys().map(String::as_str))
    }

    async fn answer(
        &self,
        message: &Message,
        mode: Option<&str>,
        text: &str,
        stage: &dyn Stage,
    ) -> Result<Response, BehaviorFault> {
        let (mode, model) = self.chosen(mode, stage);
        let models = self.spec.order_from(&model);
        let question = match question::read(&self.spec, message, text, stage).await? {
            Ok(question) => question,
            Err(excuse) => return Ok(Response::say(excuse)),
        };
        let mut room = self.remembered(message, stage).await?;
        let history = room.history(message.thread.as_ref());
        if self.summed_up(message, history, stage).await? {
            self.rooms.add(stage, &message.room).await?;
            stage.remember(vec![room.memory(&message.room)?]).await?;
        }
        let history = room.history(message.thread.as_ref());
        let template = mode.and_then(|mode| mode.prompt.as_ref()).unwrap_or(&self.spec.prompt);
        let system = prompt::system(self, template, message, history);
        let answer =
            Asking::new(self, message, &system, &question, history, stage).answer(&models).await?;
        if let Some((estimated, counted)) = answer.counted {
            history.estimator.learn(estimated, counted);
        }
        let mut memories = Vec::new();
        if answer.complete && self.spec.history.tokens > 0 {
            self.keep(message, &question, &answer.text, history);
            self.rooms.add(stage, &message.room).await?;
            memories.push(room.memory(&message.room)?);
        }
        Ok(Response { memories, ..Response::say(answer.text) })
    }

    /// The mode and the model: as the message says, or the room's settings, or
    /// the operator.
    fn chosen(&self, prefix: Option<&str>, stage: &dyn Stage) -> (Option<&ModeSpec>, String) {
        let known = |name: &String| self.spec.models.contains_key(name);
        let asked = prefix.and_then(|prefix| self.spec.modes.get(prefix));
        let set = stage.setting(MODE).and_then(|prefix| self.spec.modes.get(&prefix));
        let mode = asked.or(set);
        let model = asked
            .and_then(|mode| mode.model.clone())
            .or_else(|| stage.setting(MODEL).filter(known))
            .or_else(|| mode.and_then(|mode| mode.model.clone()))
            .unwrap_or_else(|| self.spec.model.clone());
        (mode, model)
    }

    /// Remembers a question and its answer.
    fn keep(&self, message: &Message, question: &Question, answer: &str, history: &mut History) {
        history.add(Exchange {
            asked: question.parts.clone(),
            user: message.sender.clone(),
            file: question.kept_file(self.spec.history.tokens),
            answered: answer.to_owned(),
            // They are known when they have been sent.
            answers: Vec::new(),
            at: seconds(),
        });
        let budget = u64::from(self.spec.history.tokens);
        // What is over the budget waits for its summary, but not for ever.
        history.trim(if self.spec.history.summary { budget.saturating_mul(4) } else { budget });
    }
}

/// The time, in seconds since 1970.
fn seconds() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or_default()
}

#[async_trait]
impl Behavior for Llm {
    async fn on_message(
        &self,
        message: &Message,
        stage: &dyn Stage,
    ) -> Result<Option<Response>, BehaviorFault> {
        let _working = self.rooms.enter(&message.room).await;
        match message.kind {
            MessageKind::Edit | MessageKind::Redaction => self.changed(message, stage).await,
            MessageKind::Text | MessageKind::Media | MessageKind::Task => {
                match self.meaning(message) {
                    Meaning::Forget { everywhere } => {
                        self.forget(message, stage, everywhere).await.map(Some)
                    }
                    Meaning::Ask { mode, text } => {
                        self.answer(message, mode, text, stage).await.map(Some)
                    }
                }
            }
            MessageKind::Notice | MessageKind::Reaction | MessageKind::Other => Ok(None),
        }
    }

    async fn said(
        &self,
        message: &Message,
        event: &EventId,
        memories: &dyn Memories,
    ) -> Result<(), BehaviorFault> {
        let _working = self.rooms.enter(&message.room).await;
        let kept = memories.recall(&memory::key(&message.room)).await?;
        let mut room = Room::read(kept.as_deref(), &message.room);
        if !room.answered(&message.event, event) {
            return Ok(());
        }
        memories.remember(vec![room.memory(&message.room)?]).await
    }

    fn commands(&self, _message: Option<&Message>) -> Vec<Word> {
        let modes = self.spec.modes.iter().map(|(prefix, mode)| Word {
            name: prefix.clone(),
            arguments: "QUESTION".to_owned(),
            about: mode.about.clone(),
        });
        let forget = Word {
            name: mode::FORGET.to_owned(),
            arguments: "[all]".to_owned(),
            about: "lets me forget what was said here; with `all` in all threads too".to_owned(),
        };
        modes.chain([forget]).collect()
    }

    fn limit(&self) -> Duration {
        self.spec.timeout + SPARE
    }

    async fn run(&self, initiative: Arc<dyn Initiative>) -> Result<(), BehaviorFault> {
        tokio::join!(self.tools.run(), self.age(&*initiative));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
