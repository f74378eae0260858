//! An answer, piece by piece, until it is whole.

use futures_util::StreamExt;
use launcher_core::llm::spending::Usage;
use rig_core::{
    completion::CompletionResponse,
    message::StopReason,
    operation::Completion,
    streaming::{Item, StreamEvent, Streamed},
};
use tracing::{instrument::WithSubscriber, subscriber::NoSubscriber};

use super::{
    convert,
    fault::{self, Detail, ModelFault},
    turn::{Said, hide},
};

/// How many bytes a token has at most, on the average: what is longer than that
/// is not what was asked for.
const TOKEN: usize = 16;

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

hide!(Reply);

/// A part of an answer that is being written.
#[derive(Debug)]
pub(crate) enum Piece {
    /// More text: see [`Answering::so_far`].
    Text,
    /// The answer is complete.
    Done(Box<Reply>),
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
    /// An answer that may have so many tokens.
    pub(super) fn new(stream: Streamed<Completion>, limit: u32) -> Self {
        let most = usize::try_from(limit).unwrap_or(usize::MAX).saturating_mul(TOKEN);
        Self { stream: Some(stream), text: String::new(), begun: false, written: 0, most }
    }

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
