//! What an assistant does about the past: remembers it, changes it, forgets it.

use std::time::Duration;

use jiff::Timestamp;
use launcher_core::{
    conversation::{Message, MessageKind},
    llm::history::{Exchange, History},
    names::EventId,
};
use launcher_runtime::ports::{BehaviorFault, Initiative, Memories, Response, Stage};
use tracing::{info, warn};

use super::{
    Llm,
    memory::{self, Room},
    question::Question,
};

/// How often it is looked whether something is too old to be remembered, at most
/// and at least.
const LOOKS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));

impl Llm {
    /// What was said before in the message's room, without what is too old.
    pub(super) async fn remembered(
        &self,
        message: &Message,
        stage: &dyn Stage,
    ) -> Result<Room, BehaviorFault> {
        let mut room = Room::recall(stage, &message.room).await?;
        room.expire(self.oldest());
        Ok(room)
    }

    /// What was said before this second is not remembered any more.
    pub(super) fn oldest(&self) -> u64 {
        match self.spec.history.tokens {
            0 => u64::MAX,
            _ => seconds().saturating_sub(self.spec.history.keep.as_secs()),
        }
    }

    /// Forgets what is too old, again and again; never ends.
    pub(super) async fn age(&self, initiative: &dyn Initiative) {
        let (least, most) = LOOKS;
        loop {
            if let Err(fault) = self.rooms.expire(initiative, self.oldest()).await {
                warn!(event = "history_kept_too_long", error = %fault, "what is too old could not be forgotten; it is tried again");
            }
            tokio::time::sleep((self.spec.history.keep / 4).clamp(least, most)).await;
        }
    }

    pub(super) async fn forget(
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
    pub(super) async fn changed(
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

    /// Remembers a question and its answer.
    pub(super) fn keep(
        &self,
        message: &Message,
        question: &Question,
        answer: &str,
        history: &mut History,
    ) {
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

    /// Notes that `event` answers `message`, if that is remembered.
    pub(super) async fn note_answer(
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
}

/// The time, in seconds since 1970.
pub(super) fn seconds() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or_default()
}
