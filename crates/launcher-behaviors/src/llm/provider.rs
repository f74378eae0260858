//! Language models: one way to ask, whoever answers.
//!
//! Five wire formats are spoken by `rig-core`, and nothing outside of this
//! module knows it: what goes in and comes out is ours, so are the connection,
//! its limits, and what an error means. What an error shows never contains
//! what the provider wrote, since providers like to quote the question. For the
//! same reason nothing is logged while `rig-core` works, whatever the filter.

mod classify;
mod convert;
mod fault;
mod transport;

use std::time::Duration;

use futures_util::StreamExt;
use launcher_core::{
    llm::{
        model::{ModelSpec, Provider},
        spending::Usage,
    },
    secret::Secret,
};
use rig_core::{
    DynModel,
    completion::{CompletionResponse, OnUnsupported},
    message::StopReason,
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
    streaming::{Item, StreamEvent, Streamed},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tracing::{
    instrument::WithSubscriber,
    subscriber::{NoSubscriber, with_default},
};

pub(crate) use self::{
    fault::{Detail, ModelFault},
    transport::{Limits, Transport},
};

/// The name that a server with OpenAI's format and another owner goes by. Not
/// OpenAI's own, so that no rule about OpenAI's models is applied to it.
const COMPATIBLE: &str = "openai-compatible";

/// How long Ollama keeps a model in memory after an answer.
const KEEP_ALIVE: &str = "10m";

/// How many bytes a token has at most, on the average: what is longer than that
/// is not what was asked for.
const TOKEN: usize = 16;

/// How much one reply may want to have called, and how many bytes of arguments
/// that may have. A reply with more is no answer.
const MOST_CALLS: usize = 64;
const MOST_ARGUMENTS: usize = 256 * 1024;

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

/// Something that the model may call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tool {
    /// Letters, digits, `_` and `-`, at most 64: what every provider takes.
    pub(crate) name: String,
    /// What it does, for the model.
    pub(crate) description: String,
    /// The JSON schema of its arguments, an object.
    pub(crate) schema: Value,
}

/// Something that was said.
#[derive(Clone, PartialEq)]
pub(crate) enum Turn {
    /// By a person.
    User {
        /// The text; may be empty if there is a picture.
        text: String,
        /// What can be seen.
        images: Vec<Picture>,
    },
    /// By the model.
    Assistant(Said),
    /// What came of the model's calls, all of them.
    Results(Vec<CallResult>),
}

/// A picture for a model.
#[derive(Clone, PartialEq)]
pub(crate) struct Picture {
    /// One of [`Picture::TYPES`].
    pub(crate) media_type: String,
    /// The file.
    pub(crate) bytes: Vec<u8>,
}

impl Picture {
    /// What providers read; not each of them all, see [`Model::sees`].
    pub(crate) const TYPES: [&'static str; 4] =
        ["image/png", "image/jpeg", "image/gif", "image/webp"];
}

/// What a model said. Can be written down and given back later, to the same
/// model or another one.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Said {
    /// The text; may be empty if something is called.
    pub(crate) text: String,
    /// What it wants to have called.
    #[serde(default)]
    pub(crate) calls: Vec<Call>,
    /// The same in the provider's words, with the signatures that some want to
    /// have back. Only this version of this program reads it, and does
    /// without it if it cannot.
    #[serde(default)]
    native: Option<String>,
}

impl Said {
    /// A text that a model said at some time.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), calls: Vec::new(), native: None }
    }

    /// How much it is in the provider's words, in bytes; 0 without them.
    pub(crate) fn native_bytes(&self) -> usize {
        self.native.as_ref().map_or(0, String::len)
    }

    /// Whether more is called than any question needs. It would be kept, and
    /// given back with everything that is asked later.
    fn is_too_much(&self) -> bool {
        let sizes = self
            .calls
            .iter()
            .map(|call| call.name.len() + Value::Object(call.arguments.clone()).to_string().len());
        self.calls.len() > MOST_CALLS || sizes.sum::<usize>() > MOST_ARGUMENTS
    }
}

/// Something that a model wants to have called.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Call {
    /// Which call it is, within one answer.
    pub(crate) id: String,
    /// The tool's name, as the model wrote it.
    pub(crate) name: String,
    /// Its arguments.
    pub(crate) arguments: Map<String, Value>,
    /// The arguments were cut off or are no JSON, and what is in `arguments` is
    /// a guess. It must not be run.
    #[serde(default)]
    pub(crate) garbled: bool,
}

/// What came of a call.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct CallResult {
    /// The call's.
    pub(crate) id: String,
    /// The call's.
    pub(crate) name: String,
    /// What the model is told.
    pub(crate) text: String,
    /// It failed, was refused, or was not run.
    pub(crate) failed: bool,
}

/// A whole answer.
#[derive(Clone, PartialEq)]
pub(crate) struct Reply {
    /// What the model said.
    pub(crate) said: Said,
    /// The answer is as long as it may be, and not at its end.
    pub(crate) cut: bool,
    /// What the provider counted, if it did.
    pub(crate) usage: Option<Usage>,
}

impl Reply {
    /// What there is of an answer that was given up because it was too long.
    pub(crate) fn cut(text: &str) -> Self {
        Self { said: Said::text(text), cut: true, usage: None }
    }
}

macro_rules! hide {
    ($($name:ident),*) => {$(
        impl std::fmt::Debug for $name {
            /// Leaves out what was said, so that it cannot reach a log.
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}
hide!(Turn, Picture, Said, Call, CallResult, Reply);

/// A part of an answer that is being written.
#[derive(Debug)]
pub(crate) enum Piece {
    /// More text: see [`Answering::so_far`].
    Text,
    /// The answer is complete.
    Done(Box<Reply>),
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
        let most = usize::try_from(limit).unwrap_or(usize::MAX).saturating_mul(TOKEN);
        Ok(Answering { stream: Some(stream), text: String::new(), begun: false, written: 0, most })
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

/// An answer that is being written.
pub(crate) struct Answering {
    stream: Option<Streamed<Completion>>,
    text: String,
    begun: bool,
    /// How many bytes were written, thoughts and arguments as well.
    written: usize,
    /// How many may be.
    most: usize,
}

impl std::fmt::Debug for Answering {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Answering").field("begun", &self.begun).finish_non_exhaustive()
    }
}

impl Answering {
    /// The next piece. After [`Piece::Done`] and after a fault there is none,
    /// and asking for one is a fault.
    ///
    /// # Errors
    ///
    /// What went wrong; what there was before is in [`Answering::so_far`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe but for the very last piece, which is then lost.
    pub(crate) async fn next(&mut self) -> Result<Piece, ModelFault> {
        loop {
            let Some(stream) = &mut self.stream else {
                return Err(ModelFault::broken(Detail::Over));
            };
            match stream.next().with_subscriber(NoSubscriber::default()).await {
                Some(Ok(item)) => {
                    self.begun = true;
                    let Item::Event(event) = item else { continue };
                    let (text, hidden) = match event {
                        StreamEvent::Text { text, .. } => (text, 0),
                        StreamEvent::Reasoning { text, .. } => (String::new(), text.len()),
                        StreamEvent::Arguments { json, .. } => (String::new(), json.len()),
                        _ => continue,
                    };
                    self.written = self.written.saturating_add(text.len()).saturating_add(hidden);
                    if self.written > self.most {
                        return self.hang_up();
                    }
                    if !text.is_empty() {
                        self.text.push_str(&text);
                        return Ok(Piece::Text);
                    }
                }
                Some(Err(error)) => {
                    let usage = usage(&stream.partial());
                    self.stream = None;
                    return Err(fault::of(&error).after(self.begun, usage));
                }
                None => {
                    let Some(stream) = self.stream.take() else { continue };
                    let response = stream.finish().with_subscriber(NoSubscriber::default()).await;
                    let response = response.map_err(|error| fault::of(&error).after(true, None))?;
                    return reply(&response).map(|reply| Piece::Done(Box::new(reply)));
                }
            }
        }
    }

    /// Ends an answer that is longer than it may be: what there is of its text is
    /// the answer. What it wants to have called is not complete.
    fn hang_up(&mut self) -> Result<Piece, ModelFault> {
        self.stream = None;
        if self.text.trim().is_empty() {
            return Err(ModelFault::broken(Detail::Endless));
        }
        Ok(Piece::Done(Box::new(Reply::cut(&self.text))))
    }

    /// How much was written so far, in bytes: the text, and what is not shown.
    pub(crate) fn written(&self) -> usize {
        self.written
    }

    /// The text so far.
    pub(crate) fn so_far(&self) -> &str {
        &self.text
    }
}

fn usage(response: &CompletionResponse) -> Option<Usage> {
    let counted = &response.usage;
    Some(Usage {
        input: counted.input_tokens?,
        cached: counted.cached_input_tokens.unwrap_or(0),
        output: counted.output_tokens.unwrap_or(0),
    })
}

/// The answer, if it is one.
fn reply(response: &CompletionResponse) -> Result<Reply, ModelFault> {
    let usage = usage(response);
    let said = convert::said(response);
    let cut = match response.stop() {
        StopReason::Stop | StopReason::ToolUse => false,
        StopReason::Length => true,
        // Not `Error` or `Aborted` only: what is not known to be an end is none.
        _ => {
            return Err(fault::of_end(response).after(true, usage));
        }
    };
    if said.text.trim().is_empty() && said.calls.is_empty() {
        let detail = if cut { Detail::AllThought } else { Detail::Nothing };
        return Err(ModelFault::empty(detail).after(true, usage));
    }
    if said.is_too_much() {
        return Err(ModelFault::broken(Detail::TooMuch).after(true, usage));
    }
    Ok(Reply { said, cut, usage })
}

/// How long a model may be silent, if nothing else is said: local ones have to
/// be loaded first, and some think before they speak.
pub(crate) const SILENCE: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests;
