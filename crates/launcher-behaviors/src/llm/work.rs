//! How far an answer is, for the case that it is cut off.
//!
//! Written down before something is called and after it has ended. So a call
//! that a kill cuts off is known to have begun, and what came of the others is
//! not asked for again.

use launcher_runtime::ports::{BehaviorFault, Stage};
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::provider::{CallResult, Said, Turn};

/// The version of the record.
const VERSION: u32 = 1;

/// What has been said and done for one answer.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Work {
    #[serde(rename = "v")]
    version: u32,
    /// What the model said, with what came of it.
    rounds: Vec<Round>,
    /// The place of the call that has begun and has not ended.
    running: Option<String>,
}

/// What a model said and called, and what came of it.
#[derive(Serialize, Deserialize)]
struct Round {
    said: Said,
    results: Vec<CallResult>,
}

impl Work {
    /// How far an earlier attempt came. What cannot be read was not done by
    /// this version, and is not done again: `None`.
    pub(super) fn of(stage: &dyn Stage) -> Option<Self> {
        let Some(noted) = stage.noted() else {
            return Some(Self { version: VERSION, ..Self::default() });
        };
        match serde_json::from_slice::<Self>(&noted) {
            Ok(work) if work.version == VERSION => Some(work),
            _ => {
                warn!("how far an answer came was noted by another version; it is given up");
                None
            }
        }
    }

    /// Writes it down.
    pub(super) async fn note(&self, stage: &dyn Stage) -> Result<(), BehaviorFault> {
        let work = serde_json::to_vec(self)
            .map_err(|_| BehaviorFault::new("how far an answer is cannot be written down"))?;
        stage.note(work).await
    }

    /// How often something was called.
    pub(super) fn rounds(&self) -> usize {
        self.rounds.len()
    }

    /// What is still to be called, if the last thing said was that.
    pub(super) fn open(&self) -> Option<(&Said, usize)> {
        let last = self.rounds.last()?;
        (last.results.len() < last.said.calls.len()).then_some((&last.said, last.results.len()))
    }

    /// The place of the call that is next. It tells calls apart: what a provider
    /// calls them is its own affair, and can be the same twice.
    pub(super) fn place(&self) -> String {
        let results = self.rounds.last().map_or(0, |last| last.results.len());
        format!("{}-{results}", self.rounds.len())
    }

    /// Whether the call that is next has begun, in an earlier attempt.
    pub(super) fn has_begun(&self) -> bool {
        self.running.as_ref() == Some(&self.place())
    }

    /// The model said this, and wants to have something called.
    pub(super) fn say(&mut self, said: Said) {
        self.rounds.push(Round { said, results: Vec::new() });
    }

    /// The call that is next begins.
    pub(super) fn begin(&mut self) {
        self.running = Some(self.place());
    }

    /// The call that is next has ended, or was not made.
    pub(super) fn end(&mut self, result: CallResult) {
        self.running = None;
        if let Some(last) = self.rounds.last_mut() {
            last.results.push(result);
        }
    }

    /// All of it, for a model.
    pub(super) fn turns(&self) -> impl Iterator<Item = Turn> {
        self.rounds.iter().flat_map(|round| {
            [Turn::Assistant(round.said.clone()), Turn::Results(round.results.clone())]
        })
    }

    /// The texts that the model has said in between.
    pub(super) fn text(&self) -> String {
        let texts = self.rounds.iter().map(|round| round.said.text.trim());
        texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n\n")
    }
}
