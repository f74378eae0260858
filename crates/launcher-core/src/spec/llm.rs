//! An assistant, as its operator describes it.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::ToolsSpec;
use crate::llm::{model::ModelSpec, spending::Limits};

/// Answers with the help of language models.
#[derive(Clone, PartialEq, Eq)]
pub struct LlmSpec {
    /// The models, by the operator's names for them. At least one.
    pub models: BTreeMap<String, ModelSpec>,
    /// Which of them is asked first.
    pub model: String,
    /// Which are asked after that, in this order, if there is no answer.
    pub fallback: Vec<String>,
    /// What a model is told about itself, with variables.
    pub prompt: String,
    /// Other ways to answer, by the prefix that asks for each.
    pub modes: BTreeMap<String, ModeSpec>,
    /// What is remembered.
    pub history: HistorySpec,
    /// How large a picture may be that a model is shown, in bytes; `None`: it
    /// is shown none.
    pub images: Option<u64>,
    /// How large a file may be that a model reads, in bytes; `None`: it reads
    /// none.
    pub files: Option<u64>,
    /// What may be spent in a day.
    pub spending: Limits,
    /// In which time zone days begin, and what time it is in prompts.
    pub timezone: String,
    /// What a model may call.
    pub tools: ToolsSpec,
    /// How often a model may call tools for one answer.
    pub rounds: u32,
    /// How long an answer may take, without the time in which somebody is asked.
    pub timeout: Duration,
}

/// Another way to answer.
#[derive(Clone, PartialEq, Eq)]
pub struct ModeSpec {
    /// What it is good for, for `!help`.
    pub about: String,
    /// Which model is asked first; `None`: the usual one.
    pub model: Option<String>,
    /// What the model is told about itself; `None`: the usual.
    pub prompt: Option<String>,
}

/// What is remembered of conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistorySpec {
    /// How much of it a model is told, in tokens; 0: nothing is remembered.
    pub tokens: u32,
    /// For how long.
    pub keep: Duration,
    /// Whether a model sums up what is over that.
    pub summary: bool,
}

impl LlmSpec {
    /// The models that are asked in a mode, in this order, each once.
    pub fn order<'a>(&'a self, mode: Option<&'a ModeSpec>) -> Vec<&'a str> {
        self.order_from(mode.and_then(|mode| mode.model.as_deref()).unwrap_or(&self.model))
    }

    /// This model and those that are asked after it.
    pub fn order_from<'a>(&'a self, first: &'a str) -> Vec<&'a str> {
        let mut order = vec![first];
        for next in &self.fallback {
            if !order.contains(&next.as_str()) {
                order.push(next);
            }
        }
        order
    }
}

impl fmt::Debug for LlmSpec {
    /// Leaves out the prompts: they are long, and may name people.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LlmSpec")
            .field("models", &self.models)
            .field("model", &self.model)
            .field("fallback", &self.fallback)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ModeSpec {
    /// Leaves out the prompt, as above.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ModeSpec").field("model", &self.model).finish_non_exhaustive()
    }
}
