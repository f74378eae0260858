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
mod past;
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
    llm::mode::{self, Meaning},
    names::EventId,
    settings::{MODE, MODEL},
    spec::{LlmSpec, ModeSpec},
};
use launcher_runtime::ports::{Behavior, BehaviorFault, Initiative, Memories, Response, Stage};

use self::{
    answer::Asking,
    mcp::Servers,
    provider::{Model, Transport},
    purse::Purse,
    rooms::Rooms,
};

pub(crate) use self::tools::{NoTools, Tools};

/// How much longer than an answer may take the behavior gets: the summary of
/// what was said before, and writing things down.
const SPARE: Duration = Duration::from_secs(60);

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
        self.note_answer(message, event, memories).await
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
