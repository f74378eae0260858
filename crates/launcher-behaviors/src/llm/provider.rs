//! Language models: one way to ask, whoever answers.
//!
//! Five wire formats are spoken by `rig-core`, and nothing outside of this
//! module knows it: what goes in and comes out is ours, so are the connection,
//! its limits, and what an error means. What an error shows never contains
//! what the provider wrote, since providers like to quote the question. For the
//! same reason nothing is logged while `rig-core` works, whatever the filter.

mod answering;
mod classify;
mod convert;
mod fault;
mod transport;
mod turn;

use std::time::Duration;

use launcher_core::{
    llm::model::{ModelSpec, Provider},
    secret::Secret,
};
use rig_core::{
    DynModel,
    completion::OnUnsupported,
    operation::Completion,
    providers::{
        anthropic::{AnthropicConfig, ToolInputStreaming},
        gemini::GeminiConfig,
        ollama::OllamaConfig,
        openai::{
            OpenAIConfig,
            wire::{Auth, Dialect, LLAMACPP, OPENAI, Quirks},
        },
    },
};
use tracing::subscriber::{NoSubscriber, with_default};

pub(crate) use self::{
    answering::{Answering, Piece, Reply},
    fault::{Detail, ModelFault},
    transport::{Limits, Transport},
    turn::{Call, CallResult, Picture, Said, Tool, Turn},
};

/// The name that a server with OpenAI's format and another owner goes by. Not
/// OpenAI's own, so that no rule about OpenAI's models is applied to it.
const COMPATIBLE: &str = "openai-compatible";

/// How long Ollama keeps a model in memory after an answer.
const KEEP_ALIVE: &str = "10m";

/// A model that can be asked.
#[derive(Debug)]
pub(crate) struct Model {
    inner: DynModel<Completion>,
    provider: Provider,
    max_tokens: u32,
    context: u32,
    temperature: Option<f64>,
}

/// What is asked.
#[derive(Clone, Copy)]
pub(crate) struct ModelRequest<'a> {
    /// What the model is told about itself.
    pub(crate) system: &'a str,
    /// What was said so far; the last one is to be answered. Not empty.
    pub(crate) turns: &'a [Turn],
    /// What the model may call.
    pub(crate) tools: &'a [Tool],
    /// A shorter answer than the model's own limit, in tokens.
    pub(crate) max_tokens: Option<u32>,
}

impl Model {
    /// The model that `spec` describes, over `transport`. Nothing is sent yet.
    pub(crate) fn new(spec: &ModelSpec, transport: &Transport) -> Self {
        Self {
            inner: connect(spec, transport.limited(Limits::silence(spec.timeout))),
            provider: spec.provider,
            max_tokens: spec.max_tokens,
            context: spec.context,
            temperature: spec.temperature.map(|milli| f64::from(milli) / 1000.0),
        }
    }

    /// Whether it can be shown a file of this type.
    pub(crate) fn sees(&self, media_type: &str) -> bool {
        let moves = media_type == "image/gif";
        Picture::TYPES.contains(&media_type) && !(moves && self.provider == Provider::Gemini)
    }

    /// Asks. Nothing is sent before the first piece is asked for; dropping the
    /// answer closes its connection, and the provider stops writing.
    ///
    /// # Errors
    ///
    /// The request cannot be put into the provider's words.
    pub(crate) fn ask(&self, request: ModelRequest<'_>) -> Result<Answering, ModelFault> {
        let mut prepared = convert::request(&request)?;
        let limit = request.max_tokens.map_or(self.max_tokens, |asked| asked.min(self.max_tokens));
        prepared.max_tokens = Some(u64::from(limit));
        prepared.temperature = self.temperature;
        // Some models take no temperature. That is no reason to say nothing.
        prepared.options.on_unsupported = Some(OnUnsupported::Ignore);
        if self.provider == Provider::Ollama {
            // Without `num_ctx`, Ollama cuts questions at a few thousand tokens
            // and does not say so.
            prepared.additional_params =
                Some(serde_json::json!({"num_ctx": self.context, "keep_alive": KEEP_ALIVE}));
        }
        let stream = with_default(NoSubscriber::default(), || {
            self.inner.stream(prepared).map_err(|error| fault::of(&error))
        })?;
        Ok(Answering::new(stream, limit))
    }
}

fn connect(spec: &ModelSpec, transport: Transport) -> DynModel<Completion> {
    let base = spec.provider.base(&spec.url);
    let key = spec.key.as_ref().map(|key: &Secret<String>| key.expose().clone());
    let key = key.unwrap_or_default();
    let model = spec.model.as_str();
    match spec.provider {
        Provider::OpenAi => OpenAIConfig::with_key(&openai_dialect(&base), key)
            .with_base_url(base)
            .connect(transport)
            .chat(model)
            .erase(),
        Provider::LlamaCpp => OpenAIConfig::with_key(&LLAMACPP, key)
            .with_base_url(base)
            .connect(transport)
            .chat(model)
            .erase(),
        Provider::Anthropic => {
            let own = base == Provider::Anthropic.default_url();
            let config = AnthropicConfig::new(key).with_base_url(base);
            let mut model = config.connect(transport).completion(model);
            if !own {
                // A field that Anthropic's own servers know and others may not.
                model.wire = model.wire.with_tool_input_streaming(ToolInputStreaming::Off);
            }
            model.erase()
        }
        Provider::Gemini => {
            GeminiConfig::new(key).with_base_url(base).connect(transport).completion(model).erase()
        }
        Provider::Ollama => OllamaConfig::new()
            .with_base_url(base)
            .with_api_key(key)
            .connect(transport)
            .native_completion(model)
            .erase(),
    }
}

fn openai_dialect(base: &str) -> Dialect {
    if base == Provider::OpenAi.default_url() {
        return OPENAI;
    }
    let mut quirks = Quirks::openai();
    quirks.auth = Auth::OptionalBearer;
    Dialect::gateway(COMPATIBLE, "http://127.0.0.1/v1", "").with_quirks(quirks)
}

/// How long a model may be silent, if nothing else is said: local ones have to
/// be loaded first, and some think before they speak.
pub(crate) const SILENCE: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests;
